//! Columns.

use std::io::{self, Write};

/// Prints `rows` under `headings`, each column as wide as its widest cell. Columns of numbers are set to the right.
pub fn columns(
    headings: &[&str],
    rows: &[impl AsRef<[String]>],
    out: &mut dyn Write,
) -> io::Result<()> {
    let column = |at: usize| rows.iter().filter_map(move |row| row.as_ref().get(at));
    let length = |text: &str| text.chars().count();
    let shape = |(at, heading): (usize, &&str)| {
        let widest = column(at).map(|cell| length(cell)).max().unwrap_or(0);
        let numbers = column(at).all(|cell| is_number(cell));
        (widest.max(length(heading)), numbers)
    };
    let shapes: Vec<(usize, bool)> = headings.iter().enumerate().map(shape).collect();
    let print = |cells: &mut dyn Iterator<Item = &str>, out: &mut dyn Write| {
        let mut text = String::new();
        for (cell, (width, is_number)) in cells.zip(&shapes) {
            text.push_str(&match is_number {
                true => format!("{cell:>width$}  "),
                false => format!("{cell:<width$}  "),
            });
        }
        writeln!(out, "{}", text.trim_end())
    };
    print(&mut headings.iter().copied(), out)?;
    for row in rows {
        print(&mut row.as_ref().iter().map(String::as_str), out)?;
    }
    Ok(())
}

/// Ids have zeros in front.
fn is_number(cell: &str) -> bool {
    let digits = cell.bytes().all(|byte| byte.is_ascii_digit());
    let padded = cell.len() > 1 && cell.starts_with('0');
    (digits && !padded) || cell == "-"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(rows: &[[&str; 3]]) -> String {
        let rows: Vec<[String; 3]> = rows.iter().map(|row| row.map(str::to_owned)).collect();
        let mut out = Vec::new();
        columns(&["NAME", "CAP", "WHY"], &rows, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_fit_their_cells_and_numbers_stand_to_the_right() {
        let text = printed(&[
            ["ip-a", "50", "é"],
            ["a longer one", "-", ""],
            ["b", "50000", "x y"],
        ]);
        assert_eq!(
            text,
            "NAME            CAP  WHY\n\
             ip-a             50  é\n\
             a longer one      -\n\
             b             50000  x y\n"
        );
    }

    #[test]
    fn without_rows_there_are_headings() {
        assert_eq!(printed(&[]), "NAME  CAP  WHY\n");
    }
}
