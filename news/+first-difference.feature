`package rebuild --compare` names the first file in which a package differs.
