`package build TARGET [NAME] TAG` builds a tag, branch or commit in git without `--revision`; NAME is not needed if the target has one repository.
