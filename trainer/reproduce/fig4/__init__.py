"""Fig. 4 of MULTA, section IV-A: detection against cost, of one network and of one a task."""
