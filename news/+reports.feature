**Reports:** mail, commit statuses of GitHub, GitLab and Gitea, and HTTP; mail about jobs of packages and missing slaves. Messages wait in the database until they are sent, in their order.
