#compdef multa-sensor
# Completion of multa-sensor for zsh: the program itself tells what may come next.
eval "$(_MULTA_SENSOR_COMPLETE=zsh_source /opt/multa/bin/multa-sensor 2>/dev/null)"
