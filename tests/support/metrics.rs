//! Reading Prometheus's text form.

/// Adds up the samples of a metric whose labels include all of `labels`. A metric without samples counts as 0.
#[must_use]
pub fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels: Vec<&str> = labels.trim_end_matches('}').split(',').collect();
        let is_wanted = found == name && wanted.iter().all(|wanted| labels.contains(&wanted.as_str()));
        if is_wanted { value.parse::<f64>().ok() } else { None }
    });
    samples.sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn samples_are_added_up_by_their_labels() {
        let text = "# TYPE a counter\na{queue=\"x\",function=\"f\"} 2\na{queue=\"y\",function=\"f\"} 3\nab 7\nb 1.5\n";
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
        assert!(close(sum(text, "a", &[]), 5.0));
        assert!(close(sum(text, "a", &[("function", "f"), ("queue", "y")]), 3.0));
        assert!(close(sum(text, "a", &[("queue", "z")]), 0.0));
        assert!(close(sum(text, "b", &[]), 1.5));
    }
}
