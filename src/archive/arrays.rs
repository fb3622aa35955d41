//! One binary form for arrays that a reload makes one.
//!
//! An array's binary form has a flag that says whether the server keeps room for NULLs in it. An array whose NULLs were
//! overwritten keeps that room, and with it the flag; loaded elsewhere it has neither. Whoever takes
//! the value only looks whether the flag is 0 or 1, and finds NULLs by the elements' lengths. Just so an array without
//! elements (of an empty `oidvector`, say) may have dimensions, of which whoever takes it keeps none. So
//! a row would have other bytes where it was loaded, and another fingerprint, unless flag and dimensions say no more
//! than the elements do.
//!
//! No other type that travels in binary needs this; `catalog::binary_safe` says why.

/// What the name of an array's type ends with, as SQL.
const ARRAY: &str = "[]";

/// Length of an array's head without its dimensions (how many there are, the flag, the elements' type), and of each of
/// these (how long it is, and its first subscript).
const HEAD: usize = 12;
const DIMENSION: usize = 8;

/// Where the last byte of the flag is.
const FLAG_END: usize = 7;

/// The most dimensions that PostgreSQL gives an array.
const DIMENSIONS_MAX: usize = 6;

/// Which fields of a table's binary tuples are arrays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArrayColumns {
    /// For each field whether it is one, up to the last that is.
    fields: Vec<bool>,
}

/// What there is to do about an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excess {
    Nothing,
    /// Its flag speaks of NULLs, and there is none.
    Flag,
    /// It has dimensions and no elements.
    Dimensions,
}

impl ArrayColumns {
    /// Of what an archive has as [`types`](crate::archive::DataSpec::Table) of a table's columns.
    pub fn of(types: &[String]) -> Self {
        let is_array = |sql: &String| sql.ends_with(ARRAY);
        let end = types.iter().rposition(is_array).map_or(0, |last| last + 1);
        Self {
            fields: types.iter().take(end).map(is_array).collect(),
        }
    }

    /// Brings the arrays of a tuple into the form that they have when they were loaded and are read again: in place, so that what
    /// is given back may be shorter. What is not an array as PostgreSQL sends it stays as it is.
    #[inline]
    pub fn settle<'t>(&self, tuple: &'t mut [u8]) -> &'t mut [u8] {
        if self.fields.is_empty() {
            return tuple;
        }
        let end = self.walk(tuple);
        &mut tuple[..end]
    }

    /// Where the tuple ends then.
    fn walk(&self, tuple: &mut [u8]) -> usize {
        let mut end = tuple.len();
        let count = tuple.first_chunk().map_or(0, |it| i16::from_be_bytes(*it));
        let count = usize::try_from(count).unwrap_or(0);
        let mut at = 2;
        for is_array in self.fields.iter().take(count) {
            let Some(length) = number_at(&tuple[..end], at) else {
                return end;
            };
            at += 4;
            if length == -1 {
                continue;
            }
            let Some(mut length) = usize::try_from(length).ok().filter(|it| *it <= end - at) else {
                return end;
            };
            if *is_array {
                match excess(&tuple[at..at + length]) {
                    Excess::Nothing => {}
                    Excess::Flag => tuple[at + FLAG_END] = 0,
                    Excess::Dimensions => {
                        tuple[at - 4..at].copy_from_slice(&(HEAD as u32).to_be_bytes());
                        tuple[at..=at + FLAG_END].fill(0);
                        tuple.copy_within(at + length..end, at + HEAD);
                        end -= length - HEAD;
                        length = HEAD;
                    }
                }
            }
            at += length;
        }
        end
    }
}

#[inline]
fn number_at(bytes: &[u8], at: usize) -> Option<i32> {
    let number = bytes.get(at..)?.first_chunk::<4>()?;
    Some(i32::from_be_bytes(*number))
}

/// What an array says more than its elements do. Nothing if it is none, or not whole.
#[inline]
fn excess(array: &[u8]) -> Excess {
    let look = || {
        let dimensions = usize::try_from(number_at(array, 0)?).ok()?;
        let flag = number_at(array, 4)?;
        let elements = array.get(HEAD + dimensions.min(DIMENSIONS_MAX) * DIMENSION..)?;
        // So nearly all of them are.
        if flag == 0 && (dimensions == 0 || !elements.is_empty()) {
            return None;
        }
        if dimensions > DIMENSIONS_MAX || !matches!(flag, 0 | 1) {
            return None;
        }
        let wanted = count_of(array, dimensions)?;
        if wanted == 0 && dimensions > 0 && elements.is_empty() {
            return Some(Excess::Dimensions);
        }
        (flag == 1 && count_without_null(elements)? == wanted).then_some(Excess::Flag)
    };
    look().unwrap_or(Excess::Nothing)
}

/// How many elements an array of these dimensions has.
fn count_of(array: &[u8], dimensions: usize) -> Option<u64> {
    let mut count = u64::from(dimensions > 0);
    for dimension in 0..dimensions {
        let length = number_at(array, HEAD + dimension * DIMENSION)?;
        count = count.checked_mul(u64::try_from(length).ok()?)?;
    }
    Some(count)
}

/// How many there are; none if one of them is NULL, which has the length -1.
fn count_without_null(mut elements: &[u8]) -> Option<u64> {
    let mut count = 0;
    while !elements.is_empty() {
        let (length, tail) = elements.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        (_, elements) = tail.split_at_checked(length)?;
        count += 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(types: &[&str]) -> ArrayColumns {
        let types: Vec<String> = types.iter().map(|&sql| sql.into()).collect();
        ArrayColumns::of(&types)
    }

    fn word(number: i32) -> [u8; 4] {
        number.to_be_bytes()
    }

    /// An array of integers, with the lengths of its dimensions.
    fn array(flag: i32, dimensions: &[i32], elements: &[Option<i32>]) -> Vec<u8> {
        let mut value = Vec::new();
        value.extend(word(i32::try_from(dimensions.len()).unwrap()));
        value.extend(word(flag));
        value.extend(word(23));
        for length in dimensions {
            value.extend(word(*length));
            value.extend(word(1));
        }
        for element in elements {
            match element {
                Some(number) => value.extend([word(4), word(*number)].concat()),
                None => value.extend(word(-1)),
            }
        }
        value
    }

    fn tuple(fields: &[Option<&[u8]>]) -> Vec<u8> {
        let mut tuple = i16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
        for field in fields {
            match field {
                Some(value) => {
                    tuple.extend(word(i32::try_from(value.len()).unwrap()));
                    tuple.extend_from_slice(value);
                }
                None => tuple.extend(word(-1)),
            }
        }
        tuple
    }

    #[test]
    fn arrays_are_known_by_their_types_as_sql() {
        for (types, fields) in [
            (&["integer", "text"][..], &[][..]),
            (&[], &[]),
            (&["integer[]", "text"], &[true]),
            (
                &["integer", "timestamp with time zone[]"],
                &[false, true][..],
            ),
            (&["\"odd[]\"", "\"char\"[]", "uuid"], &[false, true]),
        ] {
            assert_eq!(columns(types).fields, fields, "{types:?}");
        }
    }

    #[test]
    fn only_the_flag_of_arrays_without_null_is_changed() {
        let of = columns(&["integer", "integer[]", "bytea", "integer[]", "integer[]"]);
        let row = |flag: i32, nulls: i32| {
            let one = array(flag, &[3], &[Some(1), Some(-1), Some(3)]);
            let real = array(nulls, &[2], &[Some(1), None]);
            let grid = array(flag, &[2, 2], &[Some(1), Some(2), Some(3), Some(4)]);
            // Looks like one.
            let bytes = array(1, &[1], &[Some(1)]);
            let fields = [
                Some(&[0, 0, 0, 1][..]),
                Some(&one),
                Some(&bytes),
                Some(&real),
                Some(&grid),
                Some(&bytes),
            ];
            tuple(&fields)
        };
        assert_eq!(of.settle(&mut row(1, 1)), row(0, 1));
        assert_eq!(of.settle(&mut row(0, 1)), row(0, 1));
        // What says that there is no NULL is not looked at more closely.
        assert_eq!(of.settle(&mut row(0, 0)), row(0, 0));
    }

    #[test]
    fn arrays_without_elements_have_no_dimensions() {
        let of = columns(&["integer[]", "text", "oid[]"]);
        let row = |array: &[u8]| tuple(&[Some(array), None, Some(array), Some(b"x")]);
        let empty = row(&array(0, &[], &[]));
        for other in [
            array(0, &[], &[]),
            array(1, &[], &[]),
            array(0, &[0], &[]),
            array(1, &[0], &[]),
            array(1, &[2, 0, 3], &[]),
            array(0, &[i32::MAX, 0, 0, 0, 0, 0], &[]),
        ] {
            assert_eq!(of.settle(&mut row(&other)), empty, "{other:?}");
        }
    }

    #[test]
    fn what_is_no_array_stays_as_it_is() {
        let of = columns(&["integer[]"]);
        let whole = array(1, &[2], &[Some(1), Some(2)]);
        let mut values: Vec<Vec<u8>> = (0..whole.len())
            .map(|length| whole[..length].to_vec())
            .collect();
        values.push([whole.as_slice(), &[0]].concat());
        values.push([whole.as_slice(), &word(0)].concat());
        values.push(array(2, &[1], &[Some(1)]));
        values.push(array(-1, &[1], &[Some(1)]));
        values.push(array(0x0100_0001, &[1], &[Some(1)]));
        values.push(array(1, &[3], &[Some(1)]));
        values.push(array(1, &[-1], &[Some(1)]));
        values.push(array(1, &[i32::MAX; 6], &[Some(1)]));
        values.push(array(1, &[1; 7], &[Some(1)]));
        values.push(array(0, &[0; 7], &[]));
        values.push(array(2, &[0], &[]));
        values.push(array(0, &[1], &[]));
        values.push(array(0, &[-1, 0], &[]));
        values.push(array(1, &[0], &[Some(1)]));
        values.push(array(1, &[1], &[Some(1), None]));
        for dimensions in [-1, i32::MIN, i32::MAX, 2] {
            values.push([&word(dimensions), &whole[4..]].concat());
        }
        for length in [-2, i32::MIN, i32::MAX, 3, 5] {
            let mut value = array(1, &[1], &[Some(1)]);
            value[20..24].copy_from_slice(&word(length));
            values.push(value);
        }
        for value in values {
            let before = tuple(&[Some(&value)]);
            assert_eq!(of.settle(&mut before.clone()), before, "{value:?}");
        }
    }

    #[test]
    fn broken_tuples_stay_as_they_are() {
        let of = columns(&["integer", "integer[]"]);
        let good = tuple(&[Some(&word(1)), Some(&array(1, &[1], &[Some(1)]))]);
        assert_ne!(of.settle(&mut good.clone()), good);
        let mut tuples: Vec<Vec<u8>> = (0..good.len()).map(|end| good[..end].to_vec()).collect();
        for count in [-1_i16, i16::MIN, 0, 1] {
            tuples.push([&count.to_be_bytes()[..], &good[2..]].concat());
        }
        for length in [-2, i32::MIN, i32::MAX, 3, 1000] {
            tuples.push([&good[..2], &word(length), &good[6..]].concat());
        }
        for tuple in tuples {
            assert_eq!(of.settle(&mut tuple.clone()), tuple);
        }
    }
}
