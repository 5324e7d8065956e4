//! Who is kept from sending where, and until when.
