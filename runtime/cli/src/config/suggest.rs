//! The nearest known word for one that is not known: for keys, queues, functions.

use strsim::damerau_levenshtein;

/// The closest of `known` if it is close enough to be what was meant. AWS's own CamelCase spelling (`BatchSize`) counts
/// as the same word.
pub(crate) fn nearest<'k, S: AsRef<str> + ?Sized + 'k>(
    written: &str,
    known: impl IntoIterator<Item = &'k S>,
) -> Option<&'k str> {
    let wanted = folded(written);
    let distances = known.into_iter().map(|word| (damerau_levenshtein(&wanted, &folded(word.as_ref())), word.as_ref()));
    let (distance, word) = distances.min()?;
    // A third of the word may differ: `bath_size` is near `batch_size`, `size` is not, and one letter is near nothing.
    let tolerance = wanted.chars().count() / 3;
    (distance <= tolerance).then_some(word)
}

fn folded(word: &str) -> String {
    word.chars().filter(|letter| !matches!(letter, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["batch_size", "enabled", "function_name"];
        assert_eq!(nearest("bath_size", &known), Some("batch_size"));
        assert_eq!(nearest("BatchSize", &known), Some("batch_size"));
        assert_eq!(nearest("enabeld", &known), Some("enabled"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("x", &known), None);
        assert_eq!(nearest("x", &[] as &[&str]), None);
    }
}
