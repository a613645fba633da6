//! Kinds of members that AWS JSON has and plain serde derives lack: ordered maps, base64 blobs, and scalars that
//! loosely typed SDKs send in more than one way.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::wire::lists::{MEMBERS_MAX, TooMany};

/// Standard alphabet; padding is written, and may be missing on input (some clients strip it).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A JSON object kept as it came: order and repeated names survive, so a repeated name can be refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pairs<V>(pub(crate) Vec<(String, V)>);

impl<V> Default for Pairs<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
            type Value = Pairs<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key()? {
                    // A null member counts as absent everywhere in AWS JSON.
                    if let Some(value) = map.next_value::<Option<V>>()? {
                        if pairs.len() == MEMBERS_MAX {
                            return Err(A::Error::custom(TooMany));
                        }
                        pairs.push((key, value));
                    }
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

impl<V: Serialize> Serialize for Pairs<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Bytes, as base64 text on the wire.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlobVisitor;

        impl Visitor<'_> for BlobVisitor {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64 text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Blob, E> {
                BASE64.decode(text).map(Blob).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(BlobVisitor)
    }
}

/// Writes bytes as base64 text.
pub(crate) fn base64_of(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Reads base64 text; none when it is not.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// An integer. Dynamic languages also send `"30"` and `30.0`; null is absent. What does not fit 64 bits is cut to the
/// nearest that does, and then fails its range check.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    struct IntegerVisitor;

    impl<'de> Visitor<'de> for IntegerVisitor {
        type Value = Option<i64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer")
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
            Ok(Some(value))
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
            Ok(Some(i64::try_from(value).unwrap_or(i64::MAX)))
        }

        fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
            if value.fract() == 0.0 {
                Ok(Some(value as i64)) // saturates
            } else {
                Err(E::invalid_value(Unexpected::Float(value), &self))
            }
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            text.parse().map(Some).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_any(self)
        }
    }

    deserializer.deserialize_any(IntegerVisitor)
}

/// Text. Queue attributes are text on the wire, but a bare number or boolean has only one meaning, so it is taken too.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Text, E> {
                Ok(Text(text))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[derive(serde::Deserialize)]
    struct Holder {
        #[serde(default, deserialize_with = "integer")]
        n: Option<i64>,
    }

    fn read_integer(json: &str) -> Option<Option<i64>> {
        serde_json::from_str::<Holder>(json).ok().map(|holder| holder.n)
    }

    #[test]
    fn integers_come_in_three_spellings() {
        for (json, expected) in [
            (r#"{"n":30}"#, Some(Some(30))),
            (r#"{"n":-1}"#, Some(Some(-1))),
            (r#"{"n":"30"}"#, Some(Some(30))),
            (r#"{"n":30.0}"#, Some(Some(30))),
            (r#"{"n":18446744073709551615}"#, Some(Some(i64::MAX))),
            (r#"{"n":null}"#, Some(None)),
            (r"{}", Some(None)),
            (r#"{"n":30.5}"#, None),
            (r#"{"n":"thirty"}"#, None),
            (r#"{"n":true}"#, None),
            (r#"{"n":[1]}"#, None),
        ] {
            assert_eq!(read_integer(json), expected, "{json}");
        }
    }

    #[test]
    fn pairs_keep_order_and_repeats_and_drop_nulls() {
        let pairs: Pairs<Text> = serde_json::from_str(r#"{"b":"1","a":2,"b":true,"c":null}"#).unwrap();
        let flat: Vec<(&str, &str)> = pairs.0.iter().map(|(name, value)| (name.as_str(), value.0.as_str())).collect();
        assert_eq!(flat, [("b", "1"), ("a", "2"), ("b", "true")]);
        assert!(serde_json::from_str::<Pairs<Text>>(r#"["a"]"#).is_err());
    }

    #[test]
    fn blobs_are_base64_with_or_without_padding() {
        for text in [r#""AP8=""#, r#""AP8""#] {
            assert_eq!(serde_json::from_str::<Blob>(text).unwrap(), Blob(vec![0, 255]));
        }
        assert!(serde_json::from_str::<Blob>(r#""a b""#).is_err());
        assert_eq!(base64_of(&[0, 255]), "AP8=");
        assert_eq!(from_base64("AP8="), Some(vec![0, 255]));
    }
}
