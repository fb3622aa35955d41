//! Sets of options, by name. In the names of sets that the objects' expectations use, a name that
//! is not in [`SETS`] is a run's own.

/// A dump: the same options go to `pgstow dump` and to `pg_dump`.
pub struct Run {
    pub name: &'static str,
    /// `{db}` stands for the database's name, `{filter}` for a file with [`Run::filter`] in it.
    pub options: &'static [&'static str],
    pub filter: &'static str,
}

const fn run(name: &'static str, options: &'static [&'static str]) -> Run {
    Run {
        name,
        options,
        filter: "",
    }
}

const fn filtered(name: &'static str, filter: &'static str) -> Run {
    Run {
        name,
        options: &["--filter={filter}"],
        filter,
    }
}

pub const RUNS: &[Run] = &[
    // Everything, and everything of a sort.
    run("defaults", &[]),
    run("schema only", &["-s"]),
    run("no data", &["--no-data"]),
    run("data only", &["-a"]),
    run("no schema", &["--no-schema"]),
    run("section pre", &["--section=pre-data"]),
    run("section data", &["--section=data"]),
    run("section post", &["--section=post-data"]),
    run(
        "sections around data",
        &["--section=pre-data", "--section=post-data"],
    ),
    run("schema only, section pre", &["-s", "--section=pre-data"]),
    run("sequence data", &["-s", "--sequence-data"]),
    run(
        "sequence data alone",
        &["--no-schema", "--no-data", "--sequence-data"],
    ),
    // Everything, without classes of things.
    run("no privileges", &["-x"]),
    run("no owner", &["-O"]),
    run("no comments", &["--no-comments"]),
    run("no policies", &["--no-policies"]),
    run("no publications", &["--no-publications"]),
    run("no subscriptions", &["--no-subscriptions"]),
    run("no security labels", &["--no-security-labels"]),
    run("no tablespaces", &["--no-tablespaces"]),
    run("no access method", &["--no-table-access-method"]),
    run("no toast compression", &["--no-toast-compression"]),
    run("no unlogged", &["--no-unlogged-table-data"]),
    run("no large objects", &["-B"]),
    // Everything, said in another way.
    run("quoted", &["--quote-all-identifiers"]),
    run("via root", &["--load-via-partition-root"]),
    run("row security", &["--enable-row-security"]),
    // Everything but this.
    run("not shop", &["-N", "shop"]),
    run("not orders", &["-T", "shop.orders"]),
    run("not rows of orders", &["--exclude-table-data=shop.orders"]),
    run(
        "not the trees",
        &[
            "--exclude-table-and-children=shop.parts",
            "--exclude-table-and-children=shop.forebear",
        ],
    ),
    run(
        "not rows of a tree",
        &["--exclude-table-data-and-children=shop.parts"],
    ),
    run(
        "not extensions",
        &["--exclude-extension=pgstow*", "--exclude-extension=pg_trgm"],
    ),
    filtered(
        "filter out",
        "# what is not wanted\nexclude schema aside # all of it\n\
         exclude extension hstore\nEXCLUDE table_data \"shop\" . customers\n",
    ),
    // Only this.
    run("extension", &["-e", "hstore"]),
    run("extension and aside", &["-e", "pg_trgm", "-n", "aside"]),
    run("shop", &["-n", "shop"]),
    run("shop and large objects", &["-n", "shop", "-b"]),
    run("schema of shop", &["-s", "-n", "SH?p"]),
    run("aside, strictly", &["--strict-names", "-n", "as?de|never"]),
    run("orders", &["-t", "shop.orders"]),
    run(
        "orders although not shop",
        &["-N", "shop", "-t", "{db}.shop.orders"],
    ),
    run("rows of orders", &["-a", "-t", "shop.orders"]),
    run("visible tables", &["-t", "v*e", "-t", "orders"]),
    run("a sequence", &["-t", "shop.orders_id_seq"]),
    run("an identity's sequence", &["-t", "shop.customers_id_seq"]),
    run("views", &["-t", "shop.totals", "-t", "shop.kept"]),
    run("a foreign table", &["-t", "shop.far"]),
    run("a tree", &["--table-and-children=shop.parts"]),
    run(
        "part of a tree",
        &[
            "--table-and-children=shop.parts",
            "--table-and-children=shop.forebear",
            "-T",
            "*.parts_high_1",
            "--exclude-table-and-children=aside.he[i-j]r",
        ],
    ),
    run("quoted name", &["-t", "\"Odd.One\".\"Tab.le \"\"q\"\"\""]),
    filtered(
        "filter in",
        "include table shop.orders\n\n  include table_and_children shop.forebear\n\
         exclude table aside.heir\nexclude table_data_and_children shop.forebear\n\
         include table \"Odd.One\".*\n",
    ),
    filtered(
        "filter extension",
        "include extension pg_trgm\ninclude schema aside\n",
    ),
];

/// Names for several runs, which may be sets again.
pub const SETS: &[(&str, &[&str])] = &[
    // Runs with rows of everything and definitions of everything, as far as their options go.
    (
        "whole",
        &[
            "defaults",
            "no privileges",
            "no owner",
            "no comments",
            "no policies",
            "no publications",
            "no subscriptions",
            "no security labels",
            "no tablespaces",
            "no access method",
            "no toast compression",
            "no unlogged",
            "no large objects",
            "quoted",
            "via root",
            "row security",
            "not shop",
            "not orders",
            "not rows of orders",
            "not the trees",
            "not rows of a tree",
            "not extensions",
            "filter out",
            "extension",
        ],
    ),
    (
        "definitions",
        &[
            "whole",
            "schema only",
            "no data",
            "sections around data",
            "sequence data",
        ],
    ),
    (
        "pre-data",
        &["definitions", "section pre", "schema only, section pre"],
    ),
    ("post-data", &["definitions", "section post"]),
    ("data", &["whole", "data only", "no schema", "section data"]),
    ("values", &["data", "sequence data", "sequence data alone"]),
    (
        "in shop",
        &["shop", "shop and large objects", "schema of shop"],
    ),
    ("rows in shop", &["shop", "shop and large objects"]),
    (
        "in aside",
        &["extension and aside", "aside, strictly", "filter extension"],
    ),
    (
        "with orders",
        &["orders", "orders although not shop", "filter in"],
    ),
    ("with rows of orders", &["with orders", "rows of orders"]),
];

/// Whether a set, or a run by its own name, has this run.
pub fn has(set: &str, run: &str) -> bool {
    match SETS.iter().find(|(name, _)| *name == set) {
        Some((_, members)) => members.iter().any(|member| has(member, run)),
        None => {
            assert!(
                RUNS.iter().any(|known| known.name == set),
                "no run and no set is called {set}"
            );
            set == run
        }
    }
}
