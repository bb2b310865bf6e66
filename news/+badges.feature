Pages have badges (`/badges/BUILDER.svg`), Atom feeds (`/feed.atom`, `/builders/BUILDER/feed.atom`), and an icon that tells the farm's state.
