`c["services"]` takes reporters: `MailNotifier`, `GitHubStatusPush`, `GitLabStatusPush`, `GiteaStatusPush`, `HttpStatusPush`. Messages wait in the database until they are sent.
