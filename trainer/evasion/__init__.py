"""What an attacker gains who changes the packets that he sends, and whom he can accuse."""
