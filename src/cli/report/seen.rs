//! How others see us, as people read it.

use crate::cli::table::columns;
use crate::http::Report;
use crate::outside::{Book, Fault};
use std::io::{self, Write};

pub const HEADINGS: [&str; 6] = ["WRONG", "SUBJECT", "ADDRESS", "LIST", "SINCE", "FOUND"];

/// What is wrong, one line each, then when it was looked at and what certificates are good for.
pub fn outside(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let book = &report.outside;
    if !book.faults.is_empty() {
        let rows: Vec<[String; 6]> = book.faults.iter().map(cells).collect();
        columns(&HEADINGS, &rows, out)?;
        writeln!(out)?;
    }
    notes(book)
        .iter()
        .try_for_each(|note| writeln!(out, "{note}"))
}

pub fn cells(fault: &Fault) -> [String; 6] {
    let subject = &fault.subject;
    let address = subject.address.map(|address| address.to_string());
    [
        subject.what.name().to_owned(),
        subject.name.clone(),
        address.unwrap_or_default(),
        subject.zone.clone().unwrap_or_default(),
        fault.since.to_string(),
        fault.detail.clone(),
    ]
}

pub fn notes(book: &Book) -> Vec<String> {
    let looked = match (book.checked, book.faults.is_empty()) {
        (None, _) => "nobody has looked yet at how others see us ([outside])".to_owned(),
        (Some(at), true) => format!("others see nothing wrong with us; looked at {at}"),
        (Some(at), false) => format!("how others see us; looked at {at}"),
    };
    let certificates = book.certificates.iter();
    let of = certificates.map(|one| format!("{} expires {}", one.file, one.expires));
    std::iter::once(looked).chain(of).collect()
}
