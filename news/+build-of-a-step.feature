Your own steps can ask their build for `allChanges()`, `getAllSourceStamps()`, `getSourceStamp()` and `results`.
