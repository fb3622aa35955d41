-- Something of every class, named for what it is; each with its expectations in objects.rs.
SELECT current_setting('server_version_num')::int >= 180000 AS v18 \gset
SET client_min_messages = error;

CREATE SCHEMA shop;
CREATE SCHEMA aside;
CREATE SCHEMA "Odd.One";
COMMENT ON SCHEMA shop IS 'sells';
GRANT USAGE ON SCHEMA shop TO fx_reader;

-- Objects without a schema.
CREATE EXTENSION pg_trgm SCHEMA aside;
CREATE EXTENSION hstore SCHEMA public;
\if :v18
CREATE SCHEMA fx_settings;
CREATE EXTENSION pgstow_settings;
INSERT INTO fx_settings.all_rows VALUES ('a', '1');
SELECT setval('fx_settings.numbers', 7);
\endif
CREATE LANGUAGE shop_language HANDLER plpgsql_call_handler;
COMMENT ON LANGUAGE shop_language IS 'spoken';
CREATE ACCESS METHOD shop_heap TYPE TABLE HANDLER heap_tableam_handler;
CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal));
CREATE FOREIGN DATA WRAPPER shop_wrapper;
CREATE SERVER shop_server FOREIGN DATA WRAPPER shop_wrapper;
GRANT USAGE ON FOREIGN SERVER shop_server TO fx_reader;
CREATE USER MAPPING FOR fx_reader SERVER shop_server OPTIONS (password 'x');

-- Types and what works on them.
CREATE TYPE shop.mood AS ENUM ('good', 'bad');
COMMENT ON TYPE shop.mood IS 'felt';
GRANT USAGE ON TYPE shop.mood TO fx_reader;
REVOKE USAGE ON TYPE shop.mood FROM PUBLIC;
CREATE TYPE shop.pair AS (a int, b text);
CREATE TYPE shop.span AS RANGE (subtype = int4);
CREATE DOMAIN shop.positive AS int CONSTRAINT positive_check CHECK (VALUE > 0);
COMMENT ON CONSTRAINT positive_check ON DOMAIN shop.positive IS 'more than nothing';
CREATE TYPE shop.code;
CREATE FUNCTION shop.code_in(cstring) RETURNS shop.code LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION shop.code_out(shop.code) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE shop.code (INPUT = shop.code_in, OUTPUT = shop.code_out, LIKE = int4);
CREATE TYPE aside.hue AS ENUM ('red');
CREATE FUNCTION shop.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
COMMENT ON FUNCTION shop.twice(int) IS 'doubles';
GRANT EXECUTE ON FUNCTION shop.twice(int) TO fx_reader;
CREATE FUNCTION aside.thrice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 3 * $1';
CREATE PROCEDURE shop.restock() LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION shop.touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION shop.watched() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION shop.pair_text(shop.pair) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ($1).b';
CREATE CAST (shop.pair AS text) WITH FUNCTION shop.pair_text(shop.pair);
CREATE AGGREGATE shop.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE FUNCTION shop.same(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
CREATE OPERATOR shop.=== (FUNCTION = shop.same, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR FAMILY shop.lonely USING btree;
CREATE OPERATOR CLASS shop.int_hash FOR TYPE int USING hash AS OPERATOR 1 =, FUNCTION 1 hashint4(int);
CREATE COLLATION shop.plain (LOCALE = 'C');
CREATE CONVERSION shop.latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TEXT SEARCH PARSER shop.words (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE shop.templ (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH DICTIONARY shop.dict (TEMPLATE = simple);
CREATE TEXT SEARCH CONFIGURATION shop.conf (PARSER = "default");

-- Tables, and what hangs on them.
CREATE TABLE shop.customers (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COMPRESSION pglz NOT NULL,
    feels shop.mood
);
CREATE TABLE shop.orders (
    id serial PRIMARY KEY,
    customer int REFERENCES shop.customers,
    amount int CONSTRAINT amount_check CHECK (amount > 0),
    label text UNIQUE
);
COMMENT ON TABLE shop.orders IS 'bought';
COMMENT ON COLUMN shop.orders.amount IS 'how much';
GRANT SELECT ON shop.orders TO fx_reader;
GRANT UPDATE (label) ON shop.orders TO fx_writer;
ALTER TABLE shop.orders ADD CONSTRAINT label_check CHECK (label <> '') NOT VALID;
CREATE INDEX orders_amount ON shop.orders (amount);
COMMENT ON INDEX shop.orders_amount IS 'found quickly';
CREATE STATISTICS shop.orders_stats ON customer, amount FROM shop.orders;
CREATE TRIGGER orders_trigger BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.touched();
COMMENT ON TRIGGER orders_trigger ON shop.orders IS 'pulled';
CREATE RULE orders_rule AS ON DELETE TO shop.orders DO ALSO SELECT 1;
ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY orders_policy ON shop.orders USING (amount < 100);
COMMENT ON POLICY orders_policy ON shop.orders IS 'hides';
CREATE TABLE shop.notes (v text) USING shop_heap;
CREATE UNLOGGED TABLE shop.scratch (n serial, v text);
CREATE SEQUENCE shop.numbers;
COMMENT ON SEQUENCE shop.numbers IS 'counted';
GRANT USAGE ON SEQUENCE shop.numbers TO fx_reader;
CREATE VIEW shop.totals AS SELECT customer, sum(amount) AS amount FROM shop.orders GROUP BY customer;
COMMENT ON VIEW shop.totals IS 'seen';
GRANT SELECT ON shop.totals TO fx_reader;
CREATE FOREIGN TABLE shop.far (id int) SERVER shop_server;
CREATE TABLE aside.orders (id int PRIMARY KEY, shop_order int REFERENCES shop.orders, hue aside.hue);
CREATE INDEX aside_index ON aside.orders (shop_order);
CREATE VIEW aside.both AS SELECT a.id FROM aside.orders a JOIN shop.orders USING (id);
CREATE SEQUENCE aside.numbers OWNED BY aside.orders.id;
CREATE TABLE "Odd.One"."Tab.le ""q""" ("Col umn" int PRIMARY KEY);
CREATE TABLE public.visible (id int PRIMARY KEY);
COMMENT ON SCHEMA public IS 'changed';

-- Trees.
CREATE TABLE shop.parts (id int, at int) PARTITION BY RANGE (id);
CREATE TABLE shop.parts_low PARTITION OF shop.parts FOR VALUES FROM (0) TO (100);
CREATE TABLE aside.parts_high PARTITION OF shop.parts FOR VALUES FROM (100) TO (200) PARTITION BY LIST (at);
CREATE TABLE aside.parts_high_1 PARTITION OF aside.parts_high DEFAULT;
CREATE INDEX parts_index ON shop.parts (at);
CREATE TABLE shop.forebear (id int);
CREATE TABLE aside.heir (extra text) INHERITS (shop.forebear);
CREATE TABLE shop.hashed (m shop.mood) PARTITION BY HASH (m);
CREATE TABLE shop.hashed_0 PARTITION OF shop.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE shop.hashed_1 PARTITION OF shop.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);

-- Rows.
INSERT INTO shop.customers (name, feels) VALUES ('x', 'good'), ('y', 'bad');
INSERT INTO shop.orders (customer, amount, label) VALUES (1, 10, 'a'), (2, 1000, 'b');
INSERT INTO aside.orders VALUES (1, 1, 'red');
INSERT INTO shop.notes VALUES ('n');
INSERT INTO shop.scratch (v) VALUES ('s');
INSERT INTO shop.parts SELECT n, n FROM generate_series(0, 199) AS n;
INSERT INTO shop.forebear VALUES (1);
INSERT INTO aside.heir VALUES (2, 'h');
INSERT INTO shop.hashed VALUES ('good'), ('bad');
INSERT INTO "Odd.One"."Tab.le ""q""" VALUES (1);
INSERT INTO public.visible VALUES (1);
SELECT nextval('shop.numbers');
SELECT lo_from_bytea(4711, 'contents');
COMMENT ON LARGE OBJECT 4711 IS 'heavy';
GRANT SELECT ON LARGE OBJECT 4711 TO fx_reader;
CREATE MATERIALIZED VIEW shop.kept AS SELECT id FROM shop.orders;
CREATE INDEX kept_index ON shop.kept (id);
CREATE MATERIALIZED VIEW shop.unkept AS SELECT id FROM shop.orders WITH NO DATA;

-- What concerns the database as a whole.
ALTER DEFAULT PRIVILEGES FOR ROLE fx_owner GRANT SELECT ON TABLES TO fx_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE fx_owner IN SCHEMA shop GRANT SELECT ON TABLES TO fx_writer;
CREATE PUBLICATION shop_all FOR ALL TABLES;
COMMENT ON PUBLICATION shop_all IS 'told';
CREATE PUBLICATION shop_some FOR TABLE shop.orders, shop.customers, TABLES IN SCHEMA aside;
\if :v18
ALTER PUBLICATION shop_some ADD TABLE fx_settings.all_rows;
\endif
CREATE SUBSCRIPTION shop_hears CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false, slot_name = NONE);
COMMENT ON SUBSCRIPTION shop_hears IS 'heard';
CREATE EVENT TRIGGER shop_watch ON ddl_command_start EXECUTE FUNCTION shop.watched();
ALTER EVENT TRIGGER shop_watch DISABLE;
COMMENT ON EVENT TRIGGER shop_watch IS 'watched';
