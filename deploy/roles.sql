-- Two roles: one owns the tables and migrates, the other runs the product and owns nothing. So even a stolen application
-- password can't drop the triggers that keep the record append-only.
--   psql -U postgres -v owner_password=… -v app_password=… -f deploy/roles.sql
CREATE ROLE countersign_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE countersign_app LOGIN PASSWORD :'app_password';
CREATE DATABASE countersign OWNER countersign_owner ENCODING 'UTF8' TEMPLATE template0;
\connect countersign
REVOKE ALL ON DATABASE countersign FROM PUBLIC;
GRANT CONNECT ON DATABASE countersign TO countersign_app;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO countersign_owner;
GRANT USAGE ON SCHEMA public TO countersign_app;
ALTER DEFAULT PRIVILEGES FOR ROLE countersign_owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO countersign_app;
ALTER DEFAULT PRIVILEGES FOR ROLE countersign_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO countersign_app;
