//! The shape of a key type: its structure as serde sees it, independent of Rust's type names.
//!
//! Two nodes must agree on how a cache's key is encoded, or an eviction would decode to another key, or to none. The
//! shape travels with every frame that names keys, so that a disagreement is noticed. It is found without a value:
//! the type's `Deserialize` is run against a deserializer that notes what it is asked for and answers with the
//! simplest value there is, an idea known from `serde-reflection`. The shape is therefore the same in every process
//! that has the same type and the same `Deserialize`.

use std::{
    borrow::Cow,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::de::{self, DeserializeOwned, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

/// The structure of a key type, such as `u64` or `(u32,str)`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyShape(Cow<'static, str>);

impl KeyShape {
    /// The longest shape, in bytes; of a larger structure a prefix and a checksum are kept.
    pub const MAX_LEN: usize = 256;

    /// No shape: the frame names no keys.
    pub const NONE: Self = Self(Cow::Borrowed(""));

    /// The shape of `K`.
    ///
    /// ```
    /// use cachesync_core::shape::KeyShape;
    ///
    /// assert_eq!(KeyShape::of::<(u32, String)>().as_str(), "(u32,str)");
    /// ```
    pub fn of<K: DeserializeOwned>() -> Self {
        let mut shape = String::new();
        // A type that refuses the simplest value, such as zero for a `NonZero`, ends the trace early, at the same
        // place on every node; be it with an error or with a panic.
        let traced = catch_unwind(AssertUnwindSafe(|| K::deserialize(Tracer { shape: &mut shape, depth: 0 }).is_ok()));
        if !traced.unwrap_or(false) {
            shape.push('!');
        }
        Self::bounded(shape)
    }

    /// Whether a value of this shape nests to a limited depth, and no list of it has elements that take no bytes. Reading
    /// a type of which that is not so could exhaust the stack, or take for ever over a few bytes that announce 2⁶⁴
    /// elements, as bincode sets no limit.
    pub fn is_bounded(&self) -> bool {
        !self.0.starts_with(UNBOUNDED)
    }

    /// Whether all of the type was seen. Of an enum only the first variant is, and of a type that refuses the simplest
    /// value only what comes before that; such a type may nest without bound all the same.
    pub fn is_complete(&self) -> bool {
        !self.0.contains("enum<") && !self.0.contains(['!', '#', UNBOUNDED])
    }

    /// What came from the wire; bounded, otherwise taken as it is.
    pub fn from_wire(text: &str) -> Self {
        Self::bounded(text.to_owned())
    }

    /// The shape as text, for comparison and for people.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn bounded(mut shape: String) -> Self {
        if shape.len() > Self::MAX_LEN {
            let checksum = format!("#{:016x}", fnv1a(shape.as_bytes()));
            let mut end = Self::MAX_LEN - checksum.len();
            while !shape.is_char_boundary(end) {
                end -= 1;
            }
            shape.truncate(end);
            shape.push_str(&checksum);
        }
        Self(Cow::Owned(shape))
    }
}

impl fmt::Display for KeyShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The 64-bit FNV-1a hash: the same on every platform and in every version, unlike the standard library's.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// How deep a recursive type is followed.
const MAX_DEPTH: usize = 16;
/// Begins the shape of a type that nests deeper, or that has a list of which the elements take no bytes.
const UNBOUNDED: char = '^';

/// Writes down what a `Deserialize` asks for.
struct Tracer<'a> {
    shape: &'a mut String,
    depth: usize,
}

#[derive(Debug)]
struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the type refused the simplest value")
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl Tracer<'_> {
    fn inner(&mut self) -> Result<Tracer<'_>, Stop> {
        if self.depth == MAX_DEPTH {
            self.is_unbounded();
            return Err(Stop);
        }
        if self.shape.len() > 64 * KeyShape::MAX_LEN {
            return Err(Stop);
        }
        Ok(Tracer { shape: self.shape, depth: self.depth + 1 })
    }

    fn is_unbounded(&mut self) {
        // In front, as the end may be cut off.
        if !self.shape.starts_with(UNBOUNDED) {
            self.shape.insert(0, UNBOUNDED);
        }
    }

    /// A list, or a map, of as many elements as the wire says, between these brackets.
    fn list<T>(
        mut self,
        [open, close]: [char; 2],
        visit: impl FnOnce(Elements<'_>) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        self.shape.push(open);
        let begin = self.shape.len();
        let value = visit(Elements { tracer: self.inner()?, left: 1, separator: false })?;
        // Nothing but units and tuples of them: everything else has a letter in its shape, or a list that has a length.
        let takes_no_bytes = |shape: &str| shape.chars().all(|c| matches!(c, '(' | ')' | ',' | ':'));
        // If a list in this one has been marked, it has moved, and takes the bytes of its length.
        let elements = self.shape.get(begin..).unwrap_or_default();
        if !elements.is_empty() && takes_no_bytes(elements) {
            self.is_unbounded();
        }
        self.shape.push(close);
        Ok(value)
    }

    fn tuple<'de, V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.shape.push('(');
        let value = visitor.visit_seq(Elements { tracer: self.inner()?, left: len, separator: false })?;
        self.shape.push(')');
        Ok(value)
    }
}

macro_rules! scalars {
    ($($method:ident $visit:ident $name:literal $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            self.shape.push_str($name);
            visitor.$visit($value)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Tracer<'_> {
    type Error = Stop;

    // bincode is not self-describing either; keys are asked in its terms.
    fn is_human_readable(&self) -> bool {
        false
    }

    scalars! {
        deserialize_bool visit_bool "bool" false;
        deserialize_i8 visit_i8 "i8" 0;
        deserialize_i16 visit_i16 "i16" 0;
        deserialize_i32 visit_i32 "i32" 0;
        deserialize_i64 visit_i64 "i64" 0;
        deserialize_i128 visit_i128 "i128" 0;
        deserialize_u8 visit_u8 "u8" 0;
        deserialize_u16 visit_u16 "u16" 0;
        deserialize_u32 visit_u32 "u32" 0;
        deserialize_u64 visit_u64 "u64" 0;
        deserialize_u128 visit_u128 "u128" 0;
        deserialize_f32 visit_f32 "f32" 0.0;
        deserialize_f64 visit_f64 "f64" 0.0;
        deserialize_char visit_char "char" '0';
        deserialize_str visit_borrowed_str "str" "";
        deserialize_string visit_borrowed_str "str" "";
        deserialize_bytes visit_borrowed_bytes "bytes" &[];
        deserialize_byte_buf visit_borrowed_bytes "bytes" &[];
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        self.shape.push_str("any");
        Err(Stop)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stop> {
        self.shape.push_str("option<");
        let value = visitor.visit_some(self.inner()?)?;
        self.shape.push('>');
        Ok(value)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.shape.push_str("()");
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_unit(visitor)
    }

    // A newtype is its content, in bincode and here.
    fn deserialize_newtype_struct<V: Visitor<'de>>(mut self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_newtype_struct(self.inner()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.list(['[', ']'], |elements| visitor.visit_seq(elements))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.list(['{', '}'], |elements| visitor.visit_map(elements))
    }

    // The names of fields are not on the wire; their order and types are.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.tuple(fields.len(), visitor)
    }

    // The names of variants are noted: their order gives the numbers on the wire. Of their contents only the first
    // is visited.
    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.shape.push_str("enum<");
        self.shape.push_str(&variants.join("|"));
        self.shape.push(':');
        let value = visitor.visit_enum(FirstVariant { tracer: self.inner()? })?;
        self.shape.push('>');
        Ok(value)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_u64(0)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }
}

struct Elements<'a> {
    tracer: Tracer<'a>,
    left: usize,
    separator: bool,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        if std::mem::replace(&mut self.separator, true) {
            self.tracer.shape.push(',');
        }
        seed.deserialize(self.tracer.inner()?).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Elements<'_> {
    type Error = Stop;

    fn next_key_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Stop> {
        self.tracer.shape.push(':');
        seed.deserialize(self.tracer.inner()?)
    }
}

struct FirstVariant<'a> {
    tracer: Tracer<'a>,
}

impl<'de, 'a> EnumAccess<'de> for FirstVariant<'a> {
    type Error = Stop;
    type Variant = Tracer<'a>;

    fn variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<(T::Value, Tracer<'a>), Stop> {
        let variant = seed.deserialize(self.tracer.inner()?)?;
        Ok((variant, self.tracer))
    }
}

impl<'de> VariantAccess<'de> for Tracer<'_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value, Stop> {
        seed.deserialize(self.inner()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Stop> {
        self.tuple(fields.len(), visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, num::NonZeroU32};

    use serde::Deserialize;

    use super::*;

    fn shape<K: DeserializeOwned>() -> String {
        KeyShape::of::<K>().to_string()
    }

    #[test]
    fn a_shape_is_the_structure_and_not_the_name() {
        #[derive(Deserialize)]
        struct UserId(#[expect(dead_code)] u64);
        #[derive(Deserialize)]
        struct Tenanted {
            #[expect(dead_code)]
            tenant: u32,
            #[expect(dead_code)]
            name: Option<String>,
        }

        assert_eq!(shape::<u64>(), "u64");
        assert_eq!(shape::<UserId>(), "u64");
        assert_eq!(shape::<Tenanted>(), "(u32,option<str>)");
        assert_eq!(shape::<(u32, Option<String>)>(), "(u32,option<str>)");
        assert_eq!(shape::<Vec<(bool, char)>>(), "[(bool,char)]");
        assert_eq!(shape::<[u8; 3]>(), "(u8,u8,u8)");
        assert_eq!(shape::<BTreeMap<String, i8>>(), "{str:i8}");
        assert_eq!(shape::<()>(), "()");
        assert_ne!(shape::<u32>(), shape::<u64>());
    }

    #[test]
    fn an_enum_shows_its_variants_in_order() {
        #[derive(Deserialize)]
        enum Key {
            #[expect(dead_code)]
            Id(u64),
            #[expect(dead_code)]
            Name { first: String },
        }
        assert_eq!(shape::<Key>(), "enum<Id|Name:u64>");
        assert!(!KeyShape::of::<Key>().is_complete() && KeyShape::of::<(u32, Option<String>)>().is_complete());
    }

    #[test]
    fn a_type_that_refuses_zero_has_a_shape_too() {
        assert_eq!(shape::<NonZeroU32>(), "u32!");
        assert!(!KeyShape::of::<(NonZeroU32, u8)>().is_complete());
    }

    #[test]
    fn a_type_that_panics_over_zero_has_a_shape_too() {
        #[derive(Deserialize)]
        #[serde(from = "u32")]
        struct Positive(#[expect(dead_code)] u32);

        impl From<u32> for Positive {
            fn from(number: u32) -> Self {
                assert_ne!(number, 0, "on purpose");
                Self(number)
            }
        }

        assert_eq!(shape::<Positive>(), "u32!");
    }

    #[test]
    #[expect(clippy::zero_sized_map_values, reason = "they are what this is about")]
    fn a_list_of_what_takes_no_bytes_is_unbounded() {
        use std::collections::{BTreeMap, HashMap};

        for bounded in [
            KeyShape::of::<(u8, (), [(); 3])>(),
            KeyShape::of::<Vec<Option<()>>>(),
            KeyShape::of::<Vec<((), bool)>>(),
            KeyShape::of::<BTreeMap<u8, [(); 2]>>(),
        ] {
            assert!(bounded.is_bounded(), "{bounded}");
        }
        for unbounded in [
            KeyShape::of::<Vec<()>>(),
            KeyShape::of::<(u8, Vec<((), [u8; 0])>)>(),
            KeyShape::of::<HashMap<(), ((), ())>>(),
            KeyShape::of::<Option<Vec<Vec<()>>>>(),
            KeyShape::of::<(Vec<()>, Vec<u8>)>(),
            // That it is too long to be kept hides nothing.
            KeyShape::of::<([u64; 32], [u64; 32], [u64; 32], Vec<()>)>(),
        ] {
            assert!(!unbounded.is_bounded() && !unbounded.is_complete(), "{unbounded}");
        }
    }

    #[test]
    fn a_recursive_type_ends_and_a_wide_one_is_bounded() {
        type Wide = ([u64; 32], [u64; 32], [u64; 32]);
        #[derive(Deserialize)]
        struct List(#[expect(dead_code)] Option<Box<List>>);

        assert!(shape::<List>().starts_with("^option<option<"));
        assert!(!KeyShape::of::<List>().is_bounded() && KeyShape::of::<Wide>().is_bounded());
        assert!(shape::<Wide>().len() <= KeyShape::MAX_LEN);
        assert_ne!(shape::<Wide>(), shape::<([u64; 32], [u64; 32], [i64; 32])>());
        assert!(KeyShape::from_wire(&"é".repeat(1_000)).as_str().len() <= KeyShape::MAX_LEN);
    }
}
