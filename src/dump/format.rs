//! Binary or text: which costs less for a table whose columns can all travel in binary.
//!
//! Measured on PostgreSQL 18, per value: processor time of the server's COPY out and of zstd level 1 (what a dump
//! costs), of its COPY in (what a restore costs), and compressed bytes. Binary wins by far for timestamps, `uuid`,
//! `bytea`, floats and long text; text wins for `numeric`, `boolean` and short strings, which binary makes longer by a
//! four-byte length each and no faster to write. `docs/performance.md` has the figures.
//!
//! Only what a table is declared to be counts, and whether its values are long enough to be stored
//! out of line; not its statistics. So two dumps of one database choose alike, and their contents
//! can be compared.

use crate::model::{Column, Relation};

/// What the rows of a table are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// An archive.
    Kept,
    /// Another database, at once; and read again there, to be compared.
    Copied,
}

/// What binary costs more than text, for one value. Less than nothing is a gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extra {
    /// Nanoseconds of the server that writes it.
    out: i64,
    /// Nanoseconds of compression.
    pack: i64,
    /// Nanoseconds of a restore.
    load: i64,
    /// Hundredths of a compressed byte.
    stored: i64,
}

impl Extra {
    const fn new(out: i64, pack: i64, load: i64, stored: i64) -> Self {
        Self {
            out,
            pack,
            load,
            stored,
        }
    }

    /// As one number. A dump is made more often than it is restored, so that a restore counts half;
    /// and a byte must be written, kept, sent and read: it counts as 20 ns, a medium of 50 MB/s.
    /// What is copied is neither compressed nor kept.
    fn weight(self, rows: Rows) -> i64 {
        match rows {
            Rows::Kept => self.out + self.pack + self.load / 2 + self.stored / 5,
            Rows::Copied => 2 * self.out + self.load,
        }
    }
}

/// Lengths that are taken for granted where a declaration has none: of a string, and of one in a table
/// most of which is stored out of line.
const USUAL_LENGTH: i64 = 60;
const LONG: i64 = 2000;

/// Elements of an array.
const ELEMENTS: i64 = 4;

/// Whether binary is the better way for a table of these columns.
pub(super) fn binary_pays(relation: &Relation, columns: &[&Column], rows: Rows) -> bool {
    let out_of_line = relation.bytes.saturating_sub(relation.heap_bytes);
    let unbounded = if out_of_line > relation.heap_bytes {
        LONG
    } else {
        USUAL_LENGTH
    };
    pays(
        columns.iter().map(|column| column.type_sql.as_str()),
        unbounded,
        rows,
    )
}

fn pays<'a>(types: impl Iterator<Item = &'a str> + Clone, unbounded: i64, rows: Rows) -> bool {
    // Text doubles these, so that one of more than 512 MB would not get through at all.
    let is_doubled =
        |name: &str| matches!(Declared::of(name).name, "bytea" | "geometry" | "raster");
    types.clone().any(is_doubled)
        || types
            .map(|name| extra(name, unbounded).weight(rows))
            .sum::<i64>()
            < 0
}

/// A type as SQL, taken apart.
struct Declared<'a> {
    /// Without schema, modifier and array brackets.
    name: &'a str,
    /// The first number of its modifier.
    modifier: Option<i64>,
    is_array: bool,
    has_zone: bool,
}

impl<'a> Declared<'a> {
    fn of(sql: &'a str) -> Self {
        let (scalar, is_array) = match sql.strip_suffix("[]") {
            Some(element) => (element, true),
            None => (sql, false),
        };
        let (name, modifier) = match scalar.split_once('(') {
            Some((name, rest)) => {
                let digits = rest.split([',', ')']).next().unwrap_or_default();
                (name, digits.parse().ok())
            }
            None => (scalar, None),
        };
        let name = match name.rsplit_once('.') {
            Some((_, name)) => name,
            None => name,
        };
        let name = ["timestamp", "time"]
            .into_iter()
            .find(|&base| {
                name == base
                    || name
                        .strip_prefix(base)
                        .is_some_and(|rest| rest.starts_with(' '))
            })
            .unwrap_or(name);
        Self {
            name,
            modifier,
            is_array,
            has_zone: scalar.ends_with("with time zone") && !scalar.ends_with("without time zone"),
        }
    }
}

/// What binary costs more for one value of a type; strings without a declared length are taken to be
/// `unbounded` long.
fn extra(sql: &str, unbounded: i64) -> Extra {
    let declared = Declared::of(sql);
    let one = match declared.name {
        "boolean" => Extra::new(18, 13, -3, 15),
        "smallint" => Extra::new(9, 2, -8, -30),
        "integer" | "oid" => Extra::new(9, 9, -9, -15),
        "bigint" => Extra::new(-6, 11, -15, 0),
        "real" => Extra::new(-25, 21, -86, 20),
        "double precision" => Extra::new(-31, 18, -95, 0),
        // Binary has its digits in groups of four, 16 bits each, behind a head of eight bytes.
        "numeric" if declared.modifier.is_some_and(|precision| precision > 20) => {
            Extra::new(-2, -16, -62, 5)
        }
        "numeric" => Extra::new(43, 16, -6, 35),
        "date" => Extra::new(-35, -7, -125, -95),
        "timestamp" if declared.has_zone => Extra::new(-104, -92, -303, -460),
        "timestamp" => Extra::new(-52, -96, -322, -440),
        "time" => Extra::new(-40, -10, -125, -100),
        "interval" => Extra::new(-143, -6, -217, -180),
        "uuid" => Extra::new(-22, -25, -405, -310),
        "inet" | "cidr" | "macaddr" | "macaddr8" => Extra::new(-79, -13, -51, -60),
        "bytea" | "geometry" | "geography" | "raster" | "vector" | "halfvec" | "sparsevec"
        | "hstore" => Extra::new(-73, -206, -149, -200),
        // Both are made of the same text.
        "jsonb" => Extra::new(-40, 25, 47, 60),
        "text" | "character varying" | "character" | "name" | "json" | "xml" | "citext"
        | "\"char\"" => {
            let length = match (declared.name, declared.modifier) {
                ("\"char\"", _) => 1,
                ("name", _) => 16,
                // Padded to it, or about half of it in use.
                ("character", Some(most)) => most,
                ("character varying", Some(most)) => (most / 2 + 1).min(unbounded.max(most / 8)),
                _ => unbounded,
            };
            // Text looks at each byte for what must be escaped.
            Extra::new(20 - length * 7 / 10, 40, 10 - length * 13 / 10, 150)
        }
        // Ranges, geometric types, enums, domains and what extensions make: binary is a little
        // shorter for the server either way.
        _ => Extra::new(-20, 0, -40, 0),
    };
    if declared.is_array {
        Extra::new(
            one.out * ELEMENTS,
            one.pack * ELEMENTS,
            one.load * ELEMENTS,
            one.stored * ELEMENTS,
        )
    } else {
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(types: &str) -> bool {
        pays(types.split("; "), USUAL_LENGTH, Rows::Kept)
    }

    #[test]
    fn tables_get_the_format_that_measured_better_on_the_whole() {
        for (types, binary) in [
            // TPC-H: lineitem, partsupp, customer.
            (
                "bigint; bigint; bigint; integer; numeric(15,2); numeric(15,2); numeric(15,2); \
                 numeric(15,2); character(1); character(1); date; date; date; character(25); \
                 character(10); character varying(44)",
                false,
            ),
            (
                "bigint; bigint; integer; numeric(15,2); character varying(199)",
                false,
            ),
            (
                "bigint; character varying(25); character varying(40); bigint; character(15); \
                 numeric(15,2); character(10); character varying(117)",
                false,
            ),
            // Integers compress better as text.
            ("integer; integer; integer; smallint", false),
            ("integer; uuid; jsonb; text; timestamp with time zone", true),
            (
                "bigint; timestamp(3) without time zone; double precision; real",
                true,
            ),
            ("uuid; numeric(15,2); numeric(15,2)", true),
            ("integer; double precision[]", true),
            ("integer; public.vector(3)", true),
            ("boolean; boolean; character varying(10)", false),
        ] {
            assert_eq!(chosen(types), binary, "{types}");
        }
    }

    #[test]
    fn what_is_not_kept_goes_as_it_is_loaded_faster() {
        let lineitem = "bigint; bigint; bigint; integer; numeric(15,2); numeric(15,2); numeric(15,2); \
                        numeric(15,2); character(1); character(1); date; date; date; character(25); \
                        character(10); character varying(44)";
        let copied = |types: &str| pays(types.split("; "), USUAL_LENGTH, Rows::Copied);
        assert!(copied(lineitem) && !chosen(lineitem));
        assert!(copied("integer; date"));
        assert!(!copied("boolean; numeric(15,2); numeric(15,2)"));
    }

    #[test]
    fn what_text_doubles_is_never_text() {
        let many = ["numeric(15,2)"; 100].join("; ");
        assert!(!chosen(&many));
        assert!(chosen(&format!("{many}; bytea")));
        assert!(chosen(&format!("{many}; public.geometry(Point,4326)")));
    }

    #[test]
    fn long_strings_go_as_they_are() {
        assert!(!pays(["integer", "text"].into_iter(), 20, Rows::Kept));
        assert!(pays(["integer", "text"].into_iter(), LONG, Rows::Kept));
    }

    #[test]
    fn types_are_taken_apart() {
        for (sql, name, modifier, is_array, has_zone) in [
            ("numeric(15,2)", "numeric", Some(15), false, false),
            (
                "timestamp(3) with time zone",
                "timestamp",
                Some(3),
                false,
                true,
            ),
            (
                "timestamp without time zone[]",
                "timestamp",
                None,
                true,
                false,
            ),
            ("time with time zone", "time", None, false, true),
            (
                "character varying(44)[]",
                "character varying",
                Some(44),
                true,
                false,
            ),
            ("public.hstore", "hstore", None, false, false),
            ("double precision", "double precision", None, false, false),
        ] {
            let declared = Declared::of(sql);
            assert_eq!(declared.name, name, "{sql}");
            assert_eq!(declared.modifier, modifier, "{sql}");
            assert_eq!(declared.is_array, is_array, "{sql}");
            assert_eq!(declared.has_zone, has_zone, "{sql}");
        }
    }
}
