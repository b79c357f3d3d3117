"""Sources of packet blocks: capture files and live interfaces."""
