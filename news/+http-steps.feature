The steps `HTTPStep`, `GET`, `PUT`, `POST`, `DELETE`, `HEAD` and `OPTIONS` send requests from the master; a restart repeats no completed request.
