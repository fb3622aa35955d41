//! What must be in an archive, and in which runs: from the rules of pg_dump, by hand.

/// Objects that appear and fail to appear together.
pub struct Group {
    /// Sets and runs in which they appear.
    pub appear: &'static [&'static str],
    /// Except in these.
    pub except: &'static [&'static str],
    /// `KIND schema name`, `-` for no schema, as `pg_restore -l` has them.
    pub objects: &'static str,
    /// The oldest major that has them.
    pub since: u32,
}

const fn group(
    appear: &'static [&'static str],
    except: &'static [&'static str],
    objects: &'static str,
) -> Group {
    Group {
        appear,
        except,
        objects,
        since: 15,
    }
}

pub const GROUPS: &[Group] = &[
    // Without a schema: a selection by name leaves them out.
    group(
        &["pre-data"],
        &["extension"],
        "PROCEDURAL LANGUAGE - shop_language
         CAST - CAST (shop.pair AS text)
         TRANSFORM - TRANSFORM FOR integer LANGUAGE sql
         ACCESS METHOD - shop_heap
         FOREIGN DATA WRAPPER - shop_wrapper
         SERVER - shop_server
         USER MAPPING - USER MAPPING fx_reader SERVER shop_server",
    ),
    group(
        &["pre-data"],
        &["extension", "no comments"],
        "COMMENT - LANGUAGE shop_language",
    ),
    group(
        &["pre-data"],
        &["extension", "no privileges"],
        "ACL - FOREIGN SERVER shop_server",
    ),
    group(&["pre-data"], &["filter out"], "EXTENSION - hstore"),
    group(
        &["pre-data", "extension and aside", "filter extension"],
        &["extension", "not extensions"],
        "EXTENSION - pg_trgm",
    ),
    Group {
        since: 18,
        ..group(
            &["pre-data"],
            &["extension", "not extensions"],
            "EXTENSION - pgstow_settings",
        )
    },
    // The user's rows in an extension's tables go with the extension.
    Group {
        since: 18,
        ..group(
            &["data"],
            &["extension", "not extensions"],
            "TABLE DATA fx_settings all_rows
             TABLE DATA fx_settings users_rows
             TABLE DATA fx_settings refers",
        )
    },
    Group {
        since: 18,
        ..group(
            &["values"],
            &["extension", "not extensions"],
            "SEQUENCE SET fx_settings numbers",
        )
    },
    Group {
        since: 18,
        ..group(
            &[],
            &[],
            "TABLE fx_settings all_rows\nTABLE fx_settings own_rows",
        )
    },
    group(&["post-data"], &["extension"], "EVENT TRIGGER - shop_watch"),
    group(
        &["post-data"],
        &["extension", "no comments"],
        "COMMENT - EVENT TRIGGER shop_watch",
    ),
    group(
        &["post-data"],
        &["extension", "no publications"],
        "PUBLICATION - shop_all
         PUBLICATION - shop_some",
    ),
    group(
        &["post-data"],
        &["extension", "no publications", "no comments"],
        "COMMENT - PUBLICATION shop_all",
    ),
    group(
        &["post-data"],
        &["extension", "no publications", "not shop"],
        "PUBLICATION TABLE shop shop_some customers",
    ),
    group(
        &["post-data"],
        &["extension", "no publications", "not shop", "not orders"],
        "PUBLICATION TABLE shop shop_some orders",
    ),
    // The table comes with its extension.
    Group {
        since: 18,
        ..group(
            &["post-data"],
            &["extension", "no publications", "not extensions"],
            "PUBLICATION TABLE fx_settings shop_some all_rows",
        )
    },
    group(
        &["post-data"],
        &["extension", "no publications", "filter out"],
        "PUBLICATION TABLES IN SCHEMA aside shop_some aside",
    ),
    group(
        &["post-data"],
        &["extension", "no subscriptions"],
        "SUBSCRIPTION - shop_hears",
    ),
    group(
        &["post-data"],
        &["extension", "no subscriptions", "no comments"],
        "COMMENT - SUBSCRIPTION shop_hears",
    ),
    group(
        &["post-data"],
        &["extension", "no privileges"],
        "DEFAULT ACL - DEFAULT PRIVILEGES FOR TABLES",
    ),
    group(
        &["post-data", "in shop"],
        &["not shop", "no privileges"],
        "DEFAULT ACL shop DEFAULT PRIVILEGES FOR TABLES",
    ),
    group(
        &["data", "shop and large objects"],
        &["extension", "no large objects"],
        "BLOB METADATA - 4711
         BLOBS - 4711",
    ),
    group(
        &["data", "shop and large objects"],
        &["extension", "no large objects", "no comments"],
        "COMMENT - LARGE OBJECT 4711",
    ),
    group(
        &["data", "shop and large objects"],
        &["extension", "no large objects", "no privileges"],
        "ACL - LARGE OBJECT 4711",
    ),
    // Schemas.
    group(&["pre-data", "in shop"], &["not shop"], "SCHEMA - shop"),
    group(&["pre-data", "in aside"], &["filter out"], "SCHEMA - aside"),
    group(&["pre-data"], &[], "SCHEMA - Odd.One"),
    group(&["pre-data"], &["no comments"], "COMMENT - SCHEMA public"),
    group(
        &["pre-data", "in shop"],
        &["not shop", "no comments"],
        "COMMENT - SCHEMA shop",
    ),
    group(
        &["pre-data", "in shop"],
        &["not shop", "no privileges"],
        "ACL - SCHEMA shop",
    ),
    // What lives in schemas and is no relation.
    group(
        &["pre-data", "in shop"],
        &["not shop"],
        "TYPE shop mood
         TYPE shop pair
         TYPE shop span
         TYPE shop code
         SHELL TYPE shop code
         DOMAIN shop positive
         FUNCTION shop code_in(cstring)
         FUNCTION shop code_out(shop.code)
         FUNCTION shop pair_text(shop.pair)
         FUNCTION shop same(integer, integer)
         FUNCTION shop touched()
         FUNCTION shop twice(integer)
         FUNCTION shop watched()
         PROCEDURE shop restock()
         AGGREGATE shop total(integer)
         OPERATOR shop ===
         OPERATOR FAMILY shop int_hash
         OPERATOR FAMILY shop lonely
         OPERATOR CLASS shop int_hash
         COLLATION shop plain
         CONVERSION shop latin
         TEXT SEARCH PARSER shop words
         TEXT SEARCH TEMPLATE shop templ
         TEXT SEARCH DICTIONARY shop dict
         TEXT SEARCH CONFIGURATION shop conf",
    ),
    group(
        &["pre-data", "in shop"],
        &["not shop", "no comments"],
        "COMMENT shop TYPE mood
         COMMENT shop CONSTRAINT positive_check ON DOMAIN positive
         COMMENT shop FUNCTION twice(integer)",
    ),
    group(
        &["pre-data", "in shop"],
        &["not shop", "no privileges"],
        "ACL shop TYPE mood
         ACL shop FUNCTION twice(integer)",
    ),
    group(
        &["pre-data", "in aside"],
        &["filter out"],
        "TYPE aside hue
         FUNCTION aside thrice(integer)",
    ),
    // Relations that nothing selects but their schema.
    group(
        &["pre-data", "in shop"],
        &["not shop"],
        "TABLE shop customers
         SEQUENCE shop customers_id_seq
         TABLE shop notes
         TABLE shop scratch
         SEQUENCE shop scratch_n_seq
         SEQUENCE OWNED BY shop scratch_n_seq
         SEQUENCE shop numbers
         MATERIALIZED VIEW shop unkept
         TABLE shop hashed
         TABLE shop hashed_0
         TABLE shop hashed_1
         TABLE ATTACH shop hashed_0
         TABLE ATTACH shop hashed_1",
    ),
    group(
        &["pre-data", "in shop"],
        &["not shop", "no comments"],
        "COMMENT shop SEQUENCE numbers",
    ),
    group(
        &["pre-data", "in shop"],
        &["not shop", "no privileges"],
        "ACL shop SEQUENCE numbers",
    ),
    group(
        &["post-data", "in shop"],
        &["not shop"],
        "CONSTRAINT shop customers customers_pkey",
    ),
    group(
        &["data", "rows in shop"],
        &["not shop", "filter out"],
        "TABLE DATA shop customers",
    ),
    group(
        &["data", "rows in shop"],
        &["not shop"],
        "TABLE DATA shop notes
         TABLE DATA shop hashed_0
         TABLE DATA shop hashed_1",
    ),
    group(
        &["data", "rows in shop"],
        &["not shop", "no unlogged"],
        "TABLE DATA shop scratch",
    ),
    group(
        &["values", "rows in shop"],
        &["not shop"],
        "SEQUENCE SET shop customers_id_seq
         SEQUENCE SET shop numbers",
    ),
    group(
        &["values", "rows in shop"],
        &["not shop", "no unlogged"],
        "SEQUENCE SET shop scratch_n_seq",
    ),
    // A table with everything that can hang on one.
    group(
        &["pre-data", "in shop", "with orders"],
        &["not shop", "not orders"],
        "TABLE shop orders
         SEQUENCE OWNED BY shop orders_id_seq",
    ),
    group(
        &["pre-data", "in shop", "with orders", "a sequence"],
        &["not shop"],
        "SEQUENCE shop orders_id_seq",
    ),
    group(
        &["pre-data", "in shop", "with orders"],
        &["not shop", "not orders", "no comments"],
        "COMMENT shop TABLE orders
         COMMENT shop COLUMN orders.amount",
    ),
    group(
        &["pre-data", "in shop", "with orders"],
        &["not shop", "not orders", "no privileges"],
        "ACL shop TABLE orders
         ACL shop COLUMN orders.label",
    ),
    group(
        &["post-data", "in shop", "with orders"],
        &["not shop", "not orders"],
        "CONSTRAINT shop orders orders_pkey
         CONSTRAINT shop orders orders_label_key
         CHECK CONSTRAINT shop orders label_check
         FK CONSTRAINT shop orders orders_customer_fkey
         INDEX shop orders_amount
         TRIGGER shop orders orders_trigger
         RULE shop orders orders_rule",
    ),
    group(
        &["post-data", "in shop", "with orders"],
        &["not shop", "not orders"],
        "STATISTICS shop orders_stats",
    ),
    group(
        &["post-data", "in shop", "with orders"],
        &["not shop", "not orders", "no comments"],
        "COMMENT shop INDEX orders_amount
         COMMENT shop TRIGGER orders_trigger ON orders",
    ),
    group(
        &["post-data", "in shop", "with orders"],
        &["not shop", "not orders", "no policies"],
        "ROW SECURITY shop orders
         POLICY shop orders orders_policy",
    ),
    group(
        &["post-data", "in shop", "with orders"],
        &["not shop", "not orders", "no policies", "no comments"],
        "COMMENT shop POLICY orders_policy ON orders",
    ),
    group(
        &["data", "rows in shop", "with rows of orders"],
        &["not shop", "not orders", "not rows of orders"],
        "TABLE DATA shop orders",
    ),
    group(
        &[
            "values",
            "rows in shop",
            "with rows of orders",
            "a sequence",
        ],
        &["not shop"],
        "SEQUENCE SET shop orders_id_seq",
    ),
    // Views.
    group(
        &["pre-data", "in shop", "views"],
        &["not shop"],
        "VIEW shop totals
         MATERIALIZED VIEW shop kept",
    ),
    group(
        &["pre-data", "in shop", "views"],
        &["not shop", "no comments"],
        "COMMENT shop VIEW totals",
    ),
    group(
        &["pre-data", "in shop", "views"],
        &["not shop", "no privileges"],
        "ACL shop TABLE totals",
    ),
    group(
        &["post-data", "in shop", "views"],
        &["not shop"],
        "INDEX shop kept_index",
    ),
    // Refreshing is a matter of data and comes last of all.
    group(
        &[
            "whole",
            "data only",
            "no schema",
            "section post",
            "sections around data",
            "rows in shop",
            "views",
        ],
        &["not shop"],
        "MATERIALIZED VIEW DATA shop kept",
    ),
    group(
        &[],
        &[],
        "MATERIALIZED VIEW DATA shop unkept\nTABLE DATA shop totals",
    ),
    group(
        &["pre-data", "in shop", "a foreign table"],
        &["not shop"],
        "FOREIGN TABLE shop far",
    ),
    group(&[], &[], "TABLE DATA shop far"),
    // Elsewhere.
    group(
        &["pre-data", "in aside"],
        &["filter out"],
        "TABLE aside orders
         VIEW aside both
         SEQUENCE aside numbers
         SEQUENCE OWNED BY aside numbers",
    ),
    group(
        &["post-data", "in aside"],
        &["filter out"],
        "CONSTRAINT aside orders orders_pkey
         FK CONSTRAINT aside orders orders_shop_order_fkey
         INDEX aside aside_index",
    ),
    group(
        &["data", "in aside"],
        &["filter out"],
        "TABLE DATA aside orders",
    ),
    group(
        &["values", "in aside"],
        &["filter out"],
        "SEQUENCE SET aside numbers",
    ),
    group(
        &["pre-data", "quoted name", "filter in"],
        &[],
        "TABLE Odd.One Tab.le q",
    ),
    group(
        &["post-data", "quoted name", "filter in"],
        &[],
        "CONSTRAINT Odd.One Tab.le q Tab.le q_pkey",
    ),
    group(
        &["data", "quoted name", "filter in"],
        &[],
        "TABLE DATA Odd.One Tab.le q",
    ),
    // Without a schema in the pattern only what the search_path shows, which is public.
    group(&["pre-data", "visible tables"], &[], "TABLE public visible"),
    group(
        &["post-data", "visible tables"],
        &[],
        "CONSTRAINT public visible visible_pkey",
    ),
    group(
        &["data", "visible tables"],
        &[],
        "TABLE DATA public visible",
    ),
    // A tree of partitions that lives in two schemas.
    group(
        &["pre-data", "in shop", "a tree", "part of a tree"],
        &["not shop", "not the trees"],
        "TABLE shop parts
         TABLE shop parts_low
         TABLE ATTACH shop parts_low",
    ),
    group(
        &["pre-data", "in aside", "a tree", "part of a tree"],
        &["filter out", "not the trees"],
        "TABLE aside parts_high",
    ),
    group(
        &["pre-data", "in aside", "a tree"],
        &["filter out", "not the trees"],
        "TABLE aside parts_high_1
         TABLE ATTACH aside parts_high_1",
    ),
    // Alone it is a table of its own.
    group(
        &["pre-data", "a tree", "part of a tree"],
        &["filter out", "not the trees", "not shop"],
        "TABLE ATTACH aside parts_high",
    ),
    group(
        &["post-data", "a tree", "part of a tree"],
        &["filter out", "not the trees", "not shop"],
        "INDEX ATTACH aside parts_high_at_idx",
    ),
    group(
        &["data", "rows in shop", "a tree", "part of a tree"],
        &["not shop", "not the trees", "not rows of a tree"],
        "TABLE DATA shop parts_low",
    ),
    group(
        &["data", "in aside", "a tree"],
        &["filter out", "not the trees", "not rows of a tree"],
        "TABLE DATA aside parts_high_1",
    ),
    group(
        &[],
        &[],
        "TABLE DATA shop parts\nTABLE DATA aside parts_high",
    ),
    group(
        &["post-data", "in shop", "a tree", "part of a tree"],
        &["not shop", "not the trees"],
        "INDEX shop parts_index
         INDEX shop parts_low_at_idx
         INDEX ATTACH shop parts_low_at_idx",
    ),
    group(
        &["post-data", "in aside", "a tree", "part of a tree"],
        &["filter out", "not the trees"],
        "INDEX aside parts_high_at_idx",
    ),
    group(
        &["post-data", "in aside", "a tree"],
        &["filter out", "not the trees"],
        "INDEX aside parts_high_1_at_idx
         INDEX ATTACH aside parts_high_1_at_idx",
    ),
    // Inheritance.
    group(
        &["pre-data", "in shop", "part of a tree", "filter in"],
        &["not shop", "not the trees"],
        "TABLE shop forebear",
    ),
    group(
        &["data", "rows in shop", "part of a tree"],
        &["not shop", "not the trees"],
        "TABLE DATA shop forebear",
    ),
    group(
        &["pre-data", "in aside"],
        &["filter out", "not the trees"],
        "TABLE aside heir",
    ),
    group(
        &["data", "in aside"],
        &["filter out", "not the trees"],
        "TABLE DATA aside heir",
    ),
];

/// Where pgstow does not do what pg_dump does, on purpose.
pub struct Difference {
    /// Sets and runs.
    pub runs: &'static [&'static str],
    /// What one has and the other has not.
    pub objects: &'static str,
    /// The oldest major that has them.
    pub since: u32,
}

pub const DIFFERENCES: &[Difference] = &[
    // Statistics come with their table; pg_dump loses them with -t.
    Difference {
        runs: &["with orders"],
        objects: "STATISTICS shop orders_stats",
        since: 15,
    },
    // What a materialized view shows is data; pg_dump leaves it as it was when rows alone are
    // restored.
    Difference {
        runs: &["data only", "no schema"],
        objects: "MATERIALIZED VIEW DATA shop kept",
        since: 15,
    },
    // A partition without its parent is dumped as a table of its own, and a warning says so;
    // pg_dump attaches it to what the target may have.
    Difference {
        runs: &["in aside", "not shop"],
        objects: "TABLE ATTACH aside parts_high
                  INDEX ATTACH aside parts_high_at_idx",
        since: 15,
    },
    // A publication names no tables and schemas that are not in the archive, and a warning says so.
    Difference {
        runs: &["filter out"],
        objects: "PUBLICATION TABLES IN SCHEMA aside shop_some aside",
        since: 15,
    },
    Difference {
        runs: &["not extensions"],
        objects: "PUBLICATION TABLE fx_settings shop_some all_rows",
        since: 18,
    },
    Difference {
        runs: &["not shop"],
        objects: "PUBLICATION TABLE shop shop_some customers",
        since: 15,
    },
    Difference {
        runs: &["not shop", "not orders"],
        objects: "PUBLICATION TABLE shop shop_some orders",
        since: 15,
    },
];
