#!/bin/sh
# Run once by the PostgreSQL container when its data folder is new.
set -eu
psql -v ON_ERROR_STOP=1 -U postgres -v owner_password="$COUNTERSIGN_OWNER_PASSWORD" -v app_password="$COUNTERSIGN_APP_PASSWORD" -f /roles.sql
