`requires={"arch": "arm64"}` of a builder looks at the machines of slaves that have no property `arch`; a slave's property may be a list.
