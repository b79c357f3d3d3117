"""The evaluation of MULTA, section IV, made again on data that can be had."""
