//! Lists of numbers as one value of a statement, so that its text is the same however long they are.

/// Rows of numbers as `json_each` takes them apart; `None` without any.
pub(super) fn list<const N: usize>(rows: impl IntoIterator<Item = [u64; N]>) -> Option<String> {
    // SQLite's whole numbers have a sign.
    let rows: Vec<String> = rows.into_iter().map(|row| format!("{:?}", row.map(u64::cast_signed))).collect();
    (!rows.is_empty()).then(|| format!("[{}]", rows.join(",")))
}

#[cfg(test)]
mod tests {
    use super::list;

    #[test]
    fn a_list_is_json_with_signed_numbers() {
        assert_eq!(list::<1>([]), None);
        assert_eq!(list([[7]]), Some("[[7]]".to_owned()));
        assert_eq!(list([[1, u64::MAX], [0, 2]]), Some("[[1, -1],[0, 2]]".to_owned()));
    }
}
