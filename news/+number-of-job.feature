The builds of a package have the property `package_job` with the number of their job, and the remark about a kept root has the whole command that enters it.
