//! The flow page of the README names functions; they are where it says.

use std::path::Path;

/// `begin · push [intake]` → (`begin`, `intake`), (`push`, `intake`).
fn steps(readme: &str) -> Vec<(String, String)> {
    let page = readme
        .split("## How a message flows")
        .nth(1)
        .expect("the flow page");
    let drawing = page.split("```").nth(1).expect("the drawing");
    let mut steps = Vec::new();
    for (at, _) in drawing.match_indices(" [") {
        let module = drawing[at + 2..].split(']').next().unwrap_or_default();
        let line = drawing[..at]
            .rsplit(['\n', '▶', '◀', '│', '─'])
            .next()
            .unwrap_or_default();
        let functions = line.split('·').map(str::trim);
        steps.extend(functions.map(|function| (function.to_owned(), module.to_owned())));
    }
    steps
}

fn source(module: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(module.replace("::", "/"));
    let file = [root.with_extension("rs"), root.join("mod.rs")];
    let text = file
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok());
    text.unwrap_or_else(|| panic!("there is no module {module}"))
}

#[test]
fn every_step_of_the_flow_page_is_a_function_of_its_module() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let steps = steps(&std::fs::read_to_string(readme).expect("the README"));
    assert!(steps.len() >= 15, "{steps:?}");
    for (function, module) in steps {
        let is_there = source(&module).contains(&format!("fn {function}("));
        let is_generic = source(&module).contains(&format!("fn {function}<"));
        assert!(
            is_there || is_generic,
            "{module} has no function {function}"
        );
    }
}
