-- Indexes, foreign keys and defaults that are awkward to put into words, from the oldest server on.
CREATE SCHEMA "grant";
CREATE SCHEMA worded;
CREATE SCHEMA "Dotted.sch""ema";
CREATE COLLATION worded.plain_c (provider = libc, locale = 'C');
CREATE DOMAIN worded.number AS int;
CREATE DOMAIN worded.word AS text;
CREATE DOMAIN worded.c_word AS text COLLATE "C";
CREATE DOMAIN worded.numbers AS int[];
CREATE TYPE worded.mood AS ENUM ('sad', 'ok');
CREATE TYPE worded.pair AS (a int, b text);
CREATE TYPE worded.span AS RANGE (subtype = worded.number);
-- Types of a user's own: one that borrows another's operator class, one with a default of its own.
CREATE TYPE worded.borrower;
CREATE FUNCTION worded.borrower_in(cstring) RETURNS worded.borrower LANGUAGE internal STRICT IMMUTABLE AS 'int4in';
CREATE FUNCTION worded.borrower_out(worded.borrower) RETURNS cstring LANGUAGE internal STRICT IMMUTABLE AS 'int4out';
CREATE TYPE worded.borrower (input = worded.borrower_in, output = worded.borrower_out, like = int4);
CREATE CAST (worded.borrower AS int) WITHOUT FUNCTION AS IMPLICIT;
CREATE TYPE worded.owner;
CREATE FUNCTION worded.owner_in(cstring) RETURNS worded.owner LANGUAGE internal STRICT IMMUTABLE AS 'int4in';
CREATE FUNCTION worded.owner_out(worded.owner) RETURNS cstring LANGUAGE internal STRICT IMMUTABLE AS 'int4out';
CREATE TYPE worded.owner (input = worded.owner_in, output = worded.owner_out, like = int4);
CREATE FUNCTION worded.owner_cmp(worded.owner, worded.owner) RETURNS int LANGUAGE internal STRICT IMMUTABLE AS 'btint4cmp';
CREATE OPERATOR CLASS worded.owner_ops DEFAULT FOR TYPE worded.owner USING btree AS
    FUNCTION 1 worded.owner_cmp(worded.owner, worded.owner);
CREATE OPERATOR CLASS worded.owner_other_ops FOR TYPE worded.owner USING btree AS
    FUNCTION 1 worded.owner_cmp(worded.owner, worded.owner);
-- A default for an enum, before the one for all enums; and one for a domain, which nothing ever takes
-- by default.
CREATE FUNCTION worded.mood_cmp(worded.mood, worded.mood) RETURNS int LANGUAGE internal STRICT IMMUTABLE AS 'enum_cmp';
CREATE OPERATOR CLASS worded.mood_ops DEFAULT FOR TYPE worded.mood USING btree AS
    FUNCTION 1 worded.mood_cmp(worded.mood, worded.mood);
CREATE FUNCTION worded.number_cmp(worded.number, worded.number) RETURNS int LANGUAGE internal STRICT IMMUTABLE AS 'btint4cmp';
CREATE OPERATOR CLASS worded.number_ops DEFAULT FOR TYPE worded.number USING btree AS
    FUNCTION 1 worded.number_cmp(worded.number, worded.number);
CREATE OPERATOR CLASS worded.int4_ops FOR TYPE int4 USING btree AS FUNCTION 1 btint4cmp(int4, int4);
CREATE ACCESS METHOD "Gist, too" TYPE INDEX HANDLER gisthandler;
CREATE OPERATOR CLASS worded.box_ops DEFAULT FOR TYPE box USING "Gist, too" AS
    FUNCTION 1 gist_box_consistent(internal, box, smallint, oid, internal),
    FUNCTION 2 gist_box_union(internal, internal),
    FUNCTION 5 gist_box_penalty(internal, internal, internal),
    FUNCTION 6 gist_box_picksplit(internal, internal),
    FUNCTION 7 gist_box_same(box, box, internal);

CREATE TABLE worded.t (
    gone int, i int, "I" int, "select" int, "a ""b""" int, "ä" int, _1 bigint, "1a" int,
    t text, c text COLLATE "C", v varchar(5), vc varchar COLLATE worded.plain_c, b bpchar(4), n name, cn name COLLATE "C",
    num numeric(8,2), d worded.number, w worded.word, cw worded.c_word, ds worded.numbers,
    m worded.mood, ms worded.mood[], p worded.pair, ps worded.pair[], s worded.span, ints int[], texts text[],
    bo worded.borrower, ow worded.owner, j jsonb, tv tsvector, bx box, pt point, r int4range, o oid, rc regclass,
    ch "char", at inet, cd cidr, bi bit(3), vb varbit, f float8, ts timestamptz, gen int GENERATED ALWAYS AS (i + 1) STORED);
ALTER TABLE worded.t DROP COLUMN gone;
CREATE INDEX ON worded.t (i);
CREATE INDEX ON worded.t (i, "I", "select", "a ""b""", "ä", _1, "1a");
CREATE UNIQUE INDEX "Uniq ""x""" ON worded.t ("I");
CREATE UNIQUE INDEX "table" ON worded.t (i);
CREATE INDEX ON worded.t (i DESC);
CREATE INDEX ON worded.t (i NULLS FIRST);
CREATE INDEX ON worded.t (i DESC NULLS LAST, t);
CREATE INDEX ON worded.t (i, t DESC);
CREATE INDEX ON worded.t (i) INCLUDE (t);
CREATE INDEX ON worded.t (i) WITH (fillfactor = 70);
CREATE INDEX ON worded.t (i) WHERE i > 0;
CREATE INDEX ON worded.t ((i + 1));
CREATE INDEX ON worded.t (i, (i + 1), t);
CREATE INDEX ON worded.t USING hash (i);
CREATE INDEX ON worded.t USING hash (t COLLATE "C");
CREATE INDEX ON worded.t USING brin (i);
CREATE INDEX ON worded.t USING brin (i) WITH (pages_per_range = 4);
CREATE INDEX ON worded.t USING brin (bx, r, at, cd);
CREATE INDEX ON worded.t USING brin (at inet_minmax_ops, num, t);
CREATE INDEX ON worded.t USING gin (j);
CREATE INDEX ON worded.t USING gin (j jsonb_path_ops);
CREATE INDEX ON worded.t USING gin (ints, texts, tv, ms);
CREATE INDEX ON worded.t USING gist (bx);
CREATE INDEX ON worded.t USING gist (r, s);
CREATE INDEX ON worded.t USING gist (tv);
CREATE INDEX ON worded.t USING gist (tv tsvector_ops (siglen = 100));
CREATE INDEX ON worded.t USING gist (at inet_ops);
CREATE INDEX ON worded.t USING spgist (t);
CREATE INDEX ON worded.t USING spgist (pt);
CREATE INDEX ON worded.t USING spgist (pt kd_point_ops);
CREATE INDEX ON worded.t USING spgist (at);
CREATE INDEX ON worded.t USING "Gist, too" (bx);
CREATE INDEX ON worded.t (t);
CREATE INDEX ON worded.t (t COLLATE "C");
CREATE INDEX ON worded.t (t COLLATE "default");
CREATE INDEX ON worded.t (t text_pattern_ops);
CREATE INDEX ON worded.t (t COLLATE "C" text_pattern_ops DESC);
CREATE INDEX ON worded.t (c);
CREATE INDEX ON worded.t (c COLLATE "default");
CREATE INDEX ON worded.t (c COLLATE worded.plain_c);
CREATE INDEX ON worded.t (v, b);
CREATE INDEX ON worded.t (v varchar_pattern_ops);
CREATE INDEX ON worded.t (v varchar_ops);
CREATE INDEX ON worded.t (vc);
CREATE INDEX ON worded.t (vc COLLATE "default");
CREATE INDEX ON worded.t (n);
CREATE INDEX ON worded.t (n COLLATE "default");
CREATE INDEX ON worded.t (cn);
CREATE INDEX ON worded.t (cn COLLATE "POSIX");
CREATE INDEX ON worded.t (d);
CREATE INDEX ON worded.t (d worded.number_ops);
CREATE INDEX ON worded.t (w);
CREATE INDEX ON worded.t (w COLLATE "C");
CREATE INDEX ON worded.t (cw);
CREATE INDEX ON worded.t (cw COLLATE "default");
CREATE INDEX ON worded.t (ds, ints);
CREATE INDEX ON worded.t (m);
CREATE INDEX ON worded.t (m enum_ops);
CREATE INDEX ON worded.t (ms, p, ps, s, r);
CREATE INDEX ON worded.t (bo);
CREATE INDEX ON worded.t (ow);
CREATE INDEX ON worded.t (ow worded.owner_other_ops);
CREATE INDEX ON worded.t (i worded.int4_ops);
CREATE INDEX ON worded.t (o, rc, ch, at, cd, bi, vb, f, ts, num, gen);
CREATE INDEX ON worded.t (at cidr_ops);
CREATE INDEX ON worded.t (at, t, i) TABLESPACE pg_default;
ALTER TABLE worded.t ADD CONSTRAINT "Excl" EXCLUDE USING gist (r WITH &&) WITH (fillfactor = 90) WHERE (i > 0) DEFERRABLE;
CREATE MATERIALIZED VIEW worded."mat view" AS SELECT i, t AS "T" FROM worded.t;
CREATE UNIQUE INDEX ON worded."mat view" (i, "T");
CREATE INDEX ON worded."mat view" ("T" COLLATE "C");

CREATE TABLE "grant"."table" (
    id int PRIMARY KEY, a int, "select" int, "A" text, UNIQUE ("select", "A"), UNIQUE (a, id) DEFERRABLE INITIALLY DEFERRED,
    UNIQUE (a) INCLUDE (id), CONSTRAINT "un ""q" UNIQUE ("A") WITH (fillfactor = 80) DEFERRABLE);
CREATE TABLE "Dotted.sch""ema"."T" (id int, id2 int, PRIMARY KEY (id2, id) WITH (fillfactor = 60));
CREATE TABLE worded.late (id int PRIMARY KEY WITH (fillfactor = 60) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE worded.refers (
    gone int, id int REFERENCES "grant"."table", "select" int, "A" text, x int, y int, self int UNIQUE REFERENCES worded.refers (self));
ALTER TABLE worded.refers DROP COLUMN gone;
ALTER TABLE worded.refers
    ADD FOREIGN KEY ("select", "A") REFERENCES "grant"."table" ("select", "A"),
    ADD FOREIGN KEY ("A", "select") REFERENCES "grant"."table" ("A", "select") MATCH FULL,
    ADD FOREIGN KEY (x, y) REFERENCES "Dotted.sch""ema"."T" (id, id2) MATCH FULL ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (y, x) REFERENCES "Dotted.sch""ema"."T" ON UPDATE CASCADE ON DELETE SET NULL,
    ADD FOREIGN KEY (y, x) REFERENCES "Dotted.sch""ema"."T" ON UPDATE RESTRICT ON DELETE RESTRICT DEFERRABLE,
    ADD FOREIGN KEY (y, x) REFERENCES "Dotted.sch""ema"."T" ON UPDATE SET DEFAULT ON DELETE SET DEFAULT DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (y, x) REFERENCES "Dotted.sch""ema"."T" ON UPDATE SET NULL DEFERRABLE INITIALLY IMMEDIATE,
    ADD CONSTRAINT "not valid" FOREIGN KEY (id) REFERENCES "grant"."table" NOT VALID;
CREATE TABLE worded.parted (id int, r int REFERENCES "grant"."table", k int, PRIMARY KEY (id, k), UNIQUE (k, id) DEFERRABLE) PARTITION BY RANGE (k);
CREATE TABLE worded.part_1 PARTITION OF worded.parted FOR VALUES FROM (0) TO (10);
CREATE TABLE worded.part_2 (k int NOT NULL, other text, r int, id int NOT NULL);
ALTER TABLE worded.part_2 DROP COLUMN other;
ALTER TABLE worded.parted ATTACH PARTITION worded.part_2 FOR VALUES FROM (10) TO (20);
CREATE INDEX ON worded.parted (r, k);
CREATE INDEX only_parted ON ONLY worded.parted (r);
CREATE INDEX part_own ON worded.part_2 (r, k, id);
CREATE TABLE worded.to_parted (id int, k int, FOREIGN KEY (id, k) REFERENCES worded.parted ON DELETE CASCADE, FOREIGN KEY (k, id) REFERENCES worded.parted (k, id) DEFERRABLE);
CREATE TABLE worded.child (extra int, UNIQUE (i), FOREIGN KEY (extra) REFERENCES "grant"."table") INHERITS (worded.t);
CREATE INDEX ON worded.child (extra, i);
ALTER TABLE worded.child RENAME extra TO "Extra";
ALTER TABLE worded.t RENAME t TO "Text";
CREATE TABLE worded."defaults" (a int DEFAULT 1 + 1, "select" text DEFAULT 'it''s' || current_user, c regclass DEFAULT 'worded.t'::regclass,
    d int[] DEFAULT ARRAY[1, NULL], e worded.pair DEFAULT ROW(1, 'x')::worded.pair, f timestamptz DEFAULT now() - interval '1 day',
    g worded.mood DEFAULT 'sad', h text DEFAULT 'x' COLLATE "C", i serial, j worded.number DEFAULT 3, k int GENERATED ALWAYS AS (a + length("select")) STORED,
    l int DEFAULT CASE WHEN current_user = 'x' THEN 1 END, m worded.owner DEFAULT '1'::worded.owner);
CREATE VIEW worded.v AS SELECT * FROM worded."defaults";
ALTER VIEW worded.v ALTER a SET DEFAULT 5, ALTER "select" SET DEFAULT current_user;
-- Every word that the grammar knows.
DO $$
DECLARE word text; batch int := 0; words text[];
BEGIN
  SELECT array_agg(k.word ORDER BY k.word) INTO words FROM pg_get_keywords() k;
  EXECUTE 'CREATE TABLE worded.words (' || (SELECT string_agg(format('"%s" int', w), ', ') FROM unnest(words) w) || ')';
  FOR batch IN 0 .. (array_length(words, 1) - 1) / 30 LOOP
    EXECUTE format('CREATE INDEX "%s" ON worded.words (%s)', words[batch * 30 + 1],
      (SELECT string_agg('"' || w || '"', ', ') FROM unnest(words[batch * 30 + 1 : batch * 30 + 30]) w));
  END LOOP;
END $$;
-- From 14
CREATE INDEX ON worded.t USING brin (i int4_minmax_multi_ops (values_per_range = 16));
CREATE INDEX ON worded.t USING brin (i int4_bloom_ops, num);
CREATE INDEX ON worded.t (bi, r);
-- From 15
CREATE UNIQUE INDEX ON worded.t (i) NULLS NOT DISTINCT;
CREATE UNIQUE INDEX ON worded.t (i, "Text") NULLS NOT DISTINCT;
ALTER TABLE "grant"."table" ADD UNIQUE NULLS NOT DISTINCT (a, "A");
ALTER TABLE worded.refers ADD FOREIGN KEY (y, x) REFERENCES "Dotted.sch""ema"."T" ON DELETE SET NULL (x);
ALTER TABLE worded.refers ADD FOREIGN KEY (y, x) REFERENCES "Dotted.sch""ema"."T" ON DELETE SET DEFAULT (y) DEFERRABLE;
-- From 18
ALTER TABLE worded.refers ADD CONSTRAINT "not enforced" FOREIGN KEY (id) REFERENCES "grant"."table" NOT ENFORCED;
CREATE TABLE worded.timed (id int4range, during tstzrange, PRIMARY KEY (id, during WITHOUT OVERLAPS), UNIQUE (during, id WITHOUT OVERLAPS));
CREATE TABLE worded.timed_refers (id int4range, during tstzrange, FOREIGN KEY (id, PERIOD during) REFERENCES worded.timed);
ALTER TABLE worded."defaults" ADD n int GENERATED ALWAYS AS (a + length("select")) VIRTUAL;
