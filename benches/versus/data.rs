//! The data sets: each is one shape that a dump has to cope with.

use crate::number;
use crate::support::{Db, tpch};

/// All sets, in the order in which they are measured.
pub const ALL: &str = "tpch,narrow,wide,bytea,tables,indexes,large_objects";

/// What a set is, for the report.
pub fn describe(set: &str) -> &'static str {
    match set {
        "tpch" => "TPC-H with its keys, indexes and foreign keys",
        "narrow" => "one table of 12 million rows of four integers, primary key",
        "wide" => "a million rows of jsonb, uuid, text and a timestamp",
        "bytea" => "4,000 incompressible values of 48 kB, stored out of line",
        "tables" => "20,000 tables of one row",
        "indexes" => "200,000 rows under 200 indexes and 20 foreign keys",
        "large_objects" => "20,000 large objects of 8 kB and 200 of 1 MB",
        "schema" => {
            "20,000 tables with sequences, indexes, foreign keys and comments: definitions alone"
        }
        _ => "unknown",
    }
}

/// About how much longer than others a set takes.
pub fn weight(set: &str) -> u32 {
    match set {
        "tpch" => 6,
        "narrow" | "indexes" | "schema" => 3,
        "wide" | "tables" => 2,
        _ => 1,
    }
}

/// Makes one kind of data in an empty database, `PGSTOW_BENCH_SCALE` times as much of it.
pub fn load(db: &Db, set: &str) {
    let scale = number("PGSTOW_BENCH_SCALE", 1.0);
    let times = |count: u64| ((count as f64 * scale) as u64).max(1);
    match set {
        "tpch" => {
            tpch::load(scale, 2, &|| db.tool("psql"));
        }
        "narrow" => {
            db.psql(&format!(
                "create table narrow as select i as id, i % 1000 as a, i * 3 as b, (i % 7)::smallint as c
                   from generate_series(1, {}) i; alter table narrow add primary key (id)",
                times(12_000_000)
            ));
        }
        "wide" => {
            db.psql(&format!(
                "create table wide as select i as id, gen_random_uuid() as uuid,
                   jsonb_build_object('name', md5(i::text), 'tags', array[i % 5, i % 11], 'note', repeat(md5((i*7)::text), 3)) as doc,
                   repeat(md5((i*3)::text), 4) as note, now() - i * interval '1 minute' as at
                   from generate_series(1, {}) i; alter table wide add primary key (id)",
                times(1_000_000)
            ));
        }
        "bytea" => {
            db.psql(&format!(
                "create table blobs (id int primary key, data bytea);
                 alter table blobs alter data set storage external;
                 insert into blobs select i, (select decode(string_agg(md5((i * 10000 + k)::text), ''), 'hex')
                   from generate_series(1, 3000) k) from generate_series(1, {}) i",
                times(4_000)
            ));
        }
        "tables" => {
            db.psql(&format!(
                "do $$ begin for i in 1..{} loop execute format(
                    'create table t%s (id int primary key, v text); insert into t%s values (1, %L)', i, i, i);
                    if i % 200 = 0 then commit; end if;
                 end loop; end $$",
                times(20_000)
            ));
        }
        "indexes" => indexes(db, times(200_000)),
        "large_objects" => {
            let statement = "select count(lo_from_bytea(0, (select decode(string_agg(md5((i::bigint * 100000 + k)::text), ''), 'hex')
                   from generate_series(1, {pieces}) k))) from generate_series({from}, {to}) i";
            for (pieces, from, count) in [(512, 1, times(20_000)), (65_536, 1_000_000, times(200))]
            {
                let statement = statement
                    .replace("{pieces}", &pieces.to_string())
                    .replace("{from}", &from.to_string())
                    .replace("{to}", &(from + count - 1).to_string());
                db.psql(&statement);
            }
        }
        "schema" => {
            let tables = number("PGSTOW_BENCH_TABLES", 20_000.0) as u64;
            db.psql(&format!(
                "do $$ begin for i in 1..{tables} loop
                    execute format('create table t%s (id serial primary key, parent int, code text not null
                        default %L, amount numeric(12,2) check (amount >= 0), at timestamptz default now())', i, i);
                    execute format('create index on t%s (code)', i);
                    execute format('comment on table t%s is %L', i, 'table number ' || i);
                    execute format('comment on column t%s.code is %L', i, 'its code');
                    if i > 1 then
                        execute format('alter table t%s add foreign key (parent) references t%s', i, i / 2);
                    end if;
                    if i % 200 = 0 then commit; end if;
                 end loop; end $$",
            ));
        }
        other => panic!("unknown data set {other}: there are {ALL} and schema"),
    }
}

/// One table of forty columns under 160 indexes and 20 foreign keys, and twenty tables that these
/// point at with two indexes each.
fn indexes(db: &Db, rows: u64) {
    db.psql(&format!(
        "do $$
         declare columns text; fields text;
         begin
           for d in 1..20 loop
             execute format('create table dim%s as select i as id, md5(i::text) as name from generate_series(1, 1000) i', d);
             execute format('alter table dim%s add primary key (id)', d);
             execute format('create index on dim%s (name)', d);
           end loop;
           select string_agg(format('1 + (i::bigint * %s) %% 1000 as k%s', 7 * n + 1, n), ', ') into columns
             from generate_series(1, 20) n;
           select string_agg(case when n % 2 = 0 then format('(i::bigint * %s %% 1000003)::int as f%s', n * 31, n)
                    else format('md5((i + %s)::text) as f%s', n * 1000000, n) end, ', ') into fields
             from generate_series(1, 20) n;
           execute format('create table fact as select i as id, %s, %s from generate_series(1, {rows}) i', columns, fields);
           alter table fact add primary key (id);
           for n in 1..20 loop
             execute format('create index on fact (k%s)', n);
             execute format('create index on fact (f%s)', n);
             for m in 1..5 loop
               execute format('create index on fact (k%s, f%s)', n, 2 * (1 + (n + m) % 10));
             end loop;
             if n < 20 then
               execute format('create index on fact (f%s) where k%s < 500', n, n);
             end if;
             execute format('alter table fact add foreign key (k%s) references dim%s (id)', n, n);
           end loop;
         end $$"
    ));
}
