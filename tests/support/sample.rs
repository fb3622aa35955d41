//! Databases of extreme shape, made on the spot.

use super::database::Db;

impl Db {
    /// `count` small tables in ten schemas, each with a key, an index, a comment and three rows;
    /// every tenth refers to the one before it.
    #[track_caller]
    pub fn load_many_tables(&self, count: u32) {
        self.psql(&format!(
            "SELECT format('CREATE SCHEMA many_%s;', n) FROM generate_series(0, 9) AS n \\gexec
             SELECT format('CREATE TABLE many_%1$s.t_%2$s (id int PRIMARY KEY, v text NOT NULL DEFAULT %3$L, r int);
                 CREATE INDEX ON many_%1$s.t_%2$s (v);
                 COMMENT ON TABLE many_%1$s.t_%2$s IS %3$L;
                 INSERT INTO many_%1$s.t_%2$s SELECT k, %3$L || k, k FROM generate_series(1, 3) AS k;',
                 n % 10, n, 'table ' || n)
               FROM generate_series(1, {count}) AS n \\gexec
             SELECT format('ALTER TABLE many_%s.t_%s ADD FOREIGN KEY (r) REFERENCES many_%s.t_%s;', n % 10, n, (n - 1) % 10, n - 1)
               FROM generate_series(10, {count}, 10) AS n \\gexec"
        ));
    }

    /// A schema `long` with one table of about `megabytes` MB in narrow rows, with holes where rows
    /// were deleted or moved, and a second one whose bulk is out of line (TOAST). Both are far
    /// larger than their row counts suggest to a planner without statistics.
    #[track_caller]
    pub fn load_long_tables(&self, megabytes: u32) {
        // A row takes 100 bytes of the heap, more or less; the other table keeps 20 kB in each.
        let rows = u64::from(megabytes) * 10_000;
        let wide = u64::from(megabytes) * 50;
        self.psql(&format!(
            "CREATE SCHEMA long;
             CREATE TABLE long.narrow (id bigint PRIMARY KEY, a int, b text, c numeric(12, 2), d timestamptz);
             INSERT INTO long.narrow SELECT n, n % 1000, md5(n::text), n / 7.0, '2024-01-01Z'::timestamptz + n * interval '1 s'
               FROM generate_series(1, {rows}) AS n;
             DELETE FROM long.narrow WHERE id BETWEEN {rows} / 4 AND {rows} / 3;
             UPDATE long.narrow SET a = -a WHERE id % 100 = 0;
             CREATE TABLE long.toasted (id int PRIMARY KEY, doc text);
             ALTER TABLE long.toasted ALTER doc SET STORAGE EXTERNAL;
             INSERT INTO long.toasted
             SELECT n, (SELECT string_agg(md5((n * 1000 + k)::text), '') FROM generate_series(1, 625) AS k)
               FROM generate_series(1, {wide}) AS n;"
        ));
    }

    /// A table `huge.v` with single values of `megabytes` MB: text, bytea that does not
    /// compress, and text full of characters which COPY has to escape (twice as long on the way).
    #[track_caller]
    pub fn load_huge_values(&self, megabytes: u32) {
        self.psql(&format!(
            "CREATE SCHEMA huge;
             CREATE TABLE huge.v (id int PRIMARY KEY, t text, b bytea);
             ALTER TABLE huge.v ALTER t SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
             INSERT INTO huge.v VALUES (1, 'before', '\\x00');
             INSERT INTO huge.v (id, t) SELECT 2, repeat(x, {megabytes})
               FROM (SELECT string_agg(md5(n::text), '') AS x FROM generate_series(1, 32768) AS n) AS m;
             INSERT INTO huge.v (id, b) SELECT 3, decode(repeat(x, {megabytes}), 'hex')
               FROM (SELECT string_agg(md5(n::text), '') AS x FROM generate_series(1, 65536) AS n) AS m;
             INSERT INTO huge.v (id, t) SELECT 4, repeat(E'\\t\\\\\\n.', {megabytes} * 262144);
             INSERT INTO huge.v VALUES (5, 'after', NULL);"
        ));
    }
}
