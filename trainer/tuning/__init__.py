"""Finds the size of the network: Algorithm 1 of MULTA, the trainings it asks for, its picture."""
