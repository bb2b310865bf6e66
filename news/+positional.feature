Steps take their first arguments without a name where Buildbot's do: ``StringDownload("text", workerdest="x")``.
