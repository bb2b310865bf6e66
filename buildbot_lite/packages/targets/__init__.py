"""
Targets in master.cfg, and their schedulers.

``configured_targets``  ``c["targets"]``, and the builders and schedulers that it stands for
``target``              what all targets have; ``deb_target``, ``rpm_target``: of each family
``repository_place``    the argument *repository*; ``signing_policy``: *sign* and those beside it
``package_scheduler``   what a submitted file becomes; ``job_recording``: its job, in the same transaction
"""
