# Completion of multa-sensor for bash: the program itself tells what may come next.
eval "$(_MULTA_SENSOR_COMPLETE=bash_source /opt/multa/bin/multa-sensor 2>/dev/null)"
