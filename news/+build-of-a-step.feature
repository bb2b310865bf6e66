Steps of one's own can ask their build for `allChanges()`, `getAllSourceStamps()`, `getSourceStamp()` and `results`.
