//! Every variant of every shader is valid WGSL: naga, wgpu's compiler, parses and validates it on the
//! CPU, with the traps that no compiler tells (an unused binding, storage that is not `read_write`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

use std::collections::BTreeSet;
use std::path::Path;

use naga::valid::{Capabilities, ValidationFlags, Validator};
use tandem_core::kernel::gpu::variants;

/// What every WebGPU adapter has: halves can be packed into words.
const CAPABILITIES: Capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;

/// What is wrong with a text, if anything.
fn fault(text: &str) -> Option<String> {
    let module = match naga::front::wgsl::parse_str(text) {
        Ok(module) => module,
        Err(error) => return Some(error.emit_to_string(text)),
    };
    let info = match Validator::new(ValidationFlags::all(), CAPABILITIES).validate(&module) {
        Ok(info) => info,
        Err(error) => return Some(error.emit_to_string(text)),
    };
    for (handle, variable) in module.global_variables.iter() {
        let name = variable.name.clone().unwrap_or_default();
        if variable.binding.is_some() && info.get_entry_point(0)[handle].is_empty() {
            return Some(format!("{name} is not used"));
        }
        let both = naga::StorageAccess::LOAD | naga::StorageAccess::STORE;
        if matches!(variable.space, naga::AddressSpace::Storage { access } if access != both) {
            return Some(format!("{name} is not read_write: pooled buffers share pages"));
        }
    }
    let entry = &module.entry_points[0];
    (entry.name != "main" || module.entry_points.len() != 1).then(|| "the entry point is not main".into())
}

#[test]
fn every_variant_of_every_shader_is_valid() {
    let mut seen = BTreeSet::new();
    for program in variants() {
        let text = program.text();
        if let Some(fault) = fault(&text) {
            panic!("{} with {:?}: {fault}", program.shader_name(), program.values());
        }
        seen.insert(program.shader_name().to_string());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shaders");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeSet<_> = files
        .filter(|path| path.extension().is_some_and(|e| e == "wgsl"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, seen, "shaders without a variant, or the other way round");
}

#[test]
fn faults_are_found() {
    let sound = "@group(0) @binding(0) var<storage, read_write> x: array<f32>;
        @compute @workgroup_size(1) fn main() { x[0] = 1.0; }";
    assert_eq!(fault(sound), None);
    for (from, to) in [
        ("x[0] = 1.0;", ""),
        ("x[0] = 1.0;", "x[0] = 1u;"),
        ("fn main", "fn other"),
        ("x[0] = 1.0;", "let unfinished = x[0]"),
    ] {
        assert!(fault(&sound.replace(from, to)).is_some(), "{to} passes");
    }
    let read_only = sound.replace(", read_write", "").replace("x[0] = 1.0;", "let v = x[0];");
    assert!(fault(&read_only).is_some(), "read-only storage passes");
}
