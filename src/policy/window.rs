//! At which hours mail may go.
