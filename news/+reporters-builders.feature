`GitHubStatusPush`, `GitLabStatusPush`, `GiteaStatusPush` and `HttpStatusPush` take `builders`, the names of the builders whose builds they report.
