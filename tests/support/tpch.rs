//! TPC-H as a sample database: rows from the `tpchgen` crate, loaded by psql.
//!
//! Stands alone, so that benchmarks can take it in by `#[path]`. In tests, `Db::load_tpch` is the
//! shorter way.

use std::fmt::{Display, Write as _};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};

/// The tables, the longest to load first.
pub const TABLES: [&str; 8] = [
    "lineitem", "orders", "partsupp", "part", "customer", "supplier", "nation", "region",
];

/// Writes one of `parts` equal parts (`part` counts from 1) of a table at this scale factor, in
/// COPY's text format with `|` between columns, and says how many rows that were. The same
/// arguments give the same bytes. Scale 1 is about 1 GB in all, 6.0 million rows of lineitem.
pub fn generate(
    table: &str,
    scale: f64,
    part: i32,
    parts: i32,
    out: &mut impl Write,
) -> io::Result<u64> {
    match table {
        "region" if part == 1 => write_rows(RegionGenerator::new(scale, 1, 1).iter(), out),
        "nation" if part == 1 => write_rows(NationGenerator::new(scale, 1, 1).iter(), out),
        "region" | "nation" => Ok(0),
        "part" => write_rows(PartGenerator::new(scale, part, parts).iter(), out),
        "supplier" => write_rows(SupplierGenerator::new(scale, part, parts).iter(), out),
        "partsupp" => write_rows(PartSuppGenerator::new(scale, part, parts).iter(), out),
        "customer" => write_rows(CustomerGenerator::new(scale, part, parts).iter(), out),
        "orders" => write_rows(OrderGenerator::new(scale, part, parts).iter(), out),
        "lineitem" => write_rows(LineItemGenerator::new(scale, part, parts).iter(), out),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("no TPC-H table {table}"),
        )),
    }
}

fn write_rows(rows: impl Iterator<Item = impl Display>, out: &mut impl Write) -> io::Result<u64> {
    let mut count = 0;
    let mut line = String::new();
    for row in rows {
        line.clear();
        write!(line, "{row}").map_err(io::Error::other)?;
        // The generator ends each value with a bar, COPY wants bars between values only.
        if line.ends_with('|') {
            line.pop();
        }
        line.push('\n');
        out.write_all(line.as_bytes())?;
        count += 1;
    }
    Ok(count)
}

/// Makes the tables in an empty database, loads them with `jobs` sessions, then adds keys, indexes
/// and foreign keys and runs ANALYZE. `psql` gives a command which reaches the database; arguments
/// are added here. Returns the number of rows loaded. Panics when anything fails.
pub fn load(scale: f64, jobs: usize, psql: &(impl Fn() -> Command + Sync)) -> u64 {
    script(psql, "tpch-schema.sql");
    let parts = if scale < 0.05 { 1 } else { 4 };
    let mut work: Vec<(&str, i32)> = TABLES
        .iter()
        .flat_map(|table| (1..=parts).map(move |part| (*table, part)))
        .collect();
    work.reverse();
    let (work, rows) = (Mutex::new(work), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let Some((table, part)) = work.lock().unwrap().pop() else {
                        break;
                    };
                    let loaded = copy_in(psql, table, scale, part, parts);
                    *rows.lock().unwrap() += loaded;
                }
            });
        }
    });
    script(psql, "tpch-constraints.sql");
    rows.into_inner().unwrap()
}

fn copy_in(psql: &impl Fn() -> Command, table: &str, scale: f64, part: i32, parts: i32) -> u64 {
    let mut child = psql()
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c"])
        .arg(format!("COPY {table} FROM STDIN (DELIMITER '|')"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = BufWriter::with_capacity(1 << 18, child.stdin.take().unwrap());
    let written = generate(table, scale, part, parts, &mut pipe).and_then(|rows| {
        pipe.flush()?;
        Ok(rows)
    });
    drop(pipe);
    let status = child.wait().unwrap();
    assert!(status.success(), "psql could not load {table}: {status}");
    written.unwrap()
}

fn script(psql: &impl Fn() -> Command, name: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fixtures", "sql", name]
        .iter()
        .collect();
    let status = psql()
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"])
        .arg(&path)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(
        status.success(),
        "psql could not run {}: {status}",
        path.display()
    );
}
