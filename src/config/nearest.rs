//! Which right name a wrong one was probably meant to be.

/// The candidate most like `key`, or none if all are too different to be meant.
///
/// Names are compared whole, and by their last part alone: an option in the wrong group is a slip as well.
pub(super) fn nearest<'a>(key: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let last = |key: &'_ str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let key_last = last(key);
    let scored = candidates.into_iter().map(|candidate| {
        let whole = distance(key, candidate);
        let moved = distance(&key_last, &last(candidate)) + 1;
        (whole.min(moved), whole, candidate)
    });
    let (score, _, candidate) = scored.min()?;
    (score <= (key_last.chars().count() / 3).max(2)).then_some(candidate)
}

/// How many letters must be added, taken away, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_name_that_was_meant() {
        let names = ["data_dir", "auth", "auth.anonymous_role", "auth.login_threads", "log.keep_days", "limits"];
        for (typed, meant) in [
            ("auth.anonymous_rol", Some("auth.anonymous_role")),
            ("anonymous_role", Some("auth.anonymous_role")),
            ("auht.login_threads", Some("auth.login_threads")),
            ("log.keep_day", Some("log.keep_days")),
            ("data-dir", Some("data_dir")),
            ("limit", Some("limits")),
            ("auth.keep_days", Some("log.keep_days")),
            ("auth.colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, names), meant, "{typed}");
        }
    }

    #[test]
    fn the_distance_counts_letters() {
        for (a, b, letters) in
            [("", "", 0), ("", "ab", 2), ("abc", "abc", 0), ("abc", "acb", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), letters, "{a} {b}");
            assert_eq!(distance(b, a), letters, "{b} {a}");
        }
    }
}
