"""The proof that detection holds outside the laboratory: experiments, steps and their page."""
