//! What `align.teacher` says: `efficientnet-lite0`, `dinov2-b`, `dinov2-b-reg=PATH`, or several with
//! commas between.

use super::vit::{FAMILIES, Family};
use crate::error::{Error, Result};

/// The teacher that comes with the program.
pub const EMBEDDED: &str = "efficientnet-lite0";
/// Tokens along a side with which a teacher's features mean something.
const MIN_GRID: usize = 4;
const MAX_GRID: usize = 128;
/// The ending of the names of models with register tokens.
const REGISTERS: &str = "-reg";

/// How many tokens the transformer has, and where the number comes from: what a teacher must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenGrid {
    /// Side of the training pictures.
    pub image_px: usize,
    /// The autoencoder's factor.
    pub factor: usize,
    /// Side of a token in latent positions.
    pub patch: usize,
}

impl TokenGrid {
    /// Tokens along one side.
    pub fn side(&self) -> usize {
        self.image_px / self.factor / self.patch
    }
}

/// One teacher that was asked for.
#[derive(Clone, Debug)]
pub struct TeacherSpec {
    /// The name without the path; names metrics.
    pub name: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    EfficientNetLite0,
    Vit {
        family: &'static Family,
        /// Letter and width, when the name says the size.
        size: Option<(&'static str, usize)>,
        registers: bool,
        /// A file, a folder or a model name; the published repository when nothing was said.
        place: String,
    },
}

/// Our name for REPA-E's of an encoder (`dinov2-vit-b`, `jepa-vit-h`); others stay as they are.
fn name_from_reference(name: &str) -> String {
    let Some((family, size)) = name.split_once("-vit-") else { return name.into() };
    let family = match family {
        "dinov1" => "dino",
        "jepa" => "ijepa",
        family => family,
    };
    format!("{family}-{}", size.to_lowercase())
}

impl TeacherSpec {
    /// Reads the value of `align.teacher`.
    ///
    /// # Errors
    /// A name that is not known, a family without a path, or one name twice.
    pub fn parse_all(text: &str) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = Vec::new();
        for one in text.split(',').map(str::trim) {
            let spec = Self::parse(one)?;
            if all.iter().any(|other| other.name == spec.name) {
                return Err(bad(text, format!("has {} twice", spec.name)));
            }
            all.push(spec);
        }
        Ok(all)
    }

    /// The file, folder or model that holds its weights; `None` for the embedded teacher.
    pub fn place(&self) -> Option<&str> {
        match &self.kind {
            Kind::EfficientNetLite0 => None,
            Kind::Vit { place, .. } => Some(place),
        }
    }

    /// Checks that a teacher can have the transformer's grid: pictures are resized until each token is
    /// one of its patches, which says nothing when there are too few, and costs too much when too many.
    ///
    /// # Errors
    /// [`Error::Config`] that proposes what would fit.
    pub fn check_grid(&self, tokens: TokenGrid) -> Result<()> {
        let TokenGrid { image_px, factor, patch } = tokens;
        let (side, fits) = (tokens.side(), MIN_GRID..=MAX_GRID);
        if fits.contains(&side) {
            return Ok(());
        }
        let px = side.clamp(MIN_GRID, MAX_GRID) * factor * patch;
        let latent = image_px / factor;
        let patches = (1..=latent).filter(|p| latent.is_multiple_of(*p) && fits.contains(&(latent / p)));
        let patches: Vec<_> = patches.map(|p| p.to_string()).collect();
        let way = if patches.is_empty() {
            String::new()
        } else {
            format!(" or sit.patch = {}", patches.join(" or "))
        };
        Err(Error::Config(format!(
            "the transformer has {side} x {side} tokens, and no teacher fits that: {} and the others give {MIN_GRID} x \
             {MIN_GRID} to {MAX_GRID} x {MAX_GRID}. Set data.image_px = {px}{way}, or method = \"vanilla\"",
            self.name
        )))
    }

    fn parse(text: &str) -> Result<Self> {
        let (name, place) = match text.split_once('=') {
            Some((name, place)) => (name.trim(), Some(place.trim())),
            None => (text, None),
        };
        let ours = name_from_reference(name);
        let name = ours.as_str();
        if name == EMBEDDED {
            return match place {
                None => Ok(Self { name: name.into(), kind: Kind::EfficientNetLite0 }),
                Some(_) => Err(bad(text, "comes with the program and takes no path".into())),
            };
        }
        let (plain, registers) = match name.strip_suffix(REGISTERS) {
            Some(plain) => (plain, true),
            None => (name, false),
        };
        let (family, letter) = match plain.split_once('-') {
            Some((family, letter)) => (family, Some(letter)),
            None => (plain, None),
        };
        let family =
            Family::named(family).ok_or_else(|| bad(text, format!("is not known; known are {}", known())))?;
        let sizes = || {
            family.sizes.iter().map(|(letter, ..)| format!("{}-{letter}", family.name)).collect::<Vec<_>>()
        };
        let size =
            match letter {
                None => None,
                Some(letter) => {
                    let size = family.sizes.iter().find(|(known, ..)| *known == letter);
                    Some(size.ok_or_else(|| {
                        bad(text, format!("is not a size; known are {}", sizes().join(", ")))
                    })?)
                }
            };
        let repository = size.map_or("", |(.., repository)| *repository);
        let place = match place {
            Some(place) if !place.is_empty() => place.to_string(),
            _ if repository.is_empty() => {
                return Err(bad(
                    text,
                    format!("needs the place of its weights: {name}=FILE, FOLDER or MODEL NAME"),
                ));
            }
            _ if registers => repository.replace("dinov2", "dinov2-with-registers"),
            _ => repository.to_string(),
        };
        let size = size.map(|(letter, width, _)| (*letter, *width));
        Ok(Self { name: name.into(), kind: Kind::Vit { family, size, registers, place } })
    }
}

/// The names that can be asked for.
pub fn known() -> String {
    let families = FAMILIES.iter().map(|family| format!("{}=PATH", family.name));
    std::iter::once(EMBEDDED.to_string()).chain(families).collect::<Vec<_>>().join(", ")
}

fn bad(text: &str, reason: String) -> Error {
    Error::Config(format!("align.teacher = {text} {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> String {
        TeacherSpec::parse_all(text).unwrap()[0].place().unwrap_or_default().to_string()
    }

    #[test]
    fn a_list_names_several_teachers() {
        let all = TeacherSpec::parse_all("efficientnet-lite0, dinov2-b-reg=a/b.pth,clip=c").unwrap();
        let names: Vec<_> = all.iter().map(|spec| spec.name.as_str()).collect();
        assert_eq!(names, ["efficientnet-lite0", "dinov2-b-reg", "clip"]);
        assert!(matches!(&all[1].kind, Kind::Vit { registers: true, size: Some(("b", 768)), .. }));
    }

    #[test]
    fn a_published_size_knows_its_repository() {
        assert_eq!(place("dinov2-b"), "facebook/dinov2-base");
        assert_eq!(place("dinov2-b-reg"), "facebook/dinov2-with-registers-base");
        assert_eq!(place("dinov2-b = models/x.pth"), "models/x.pth");
    }

    #[test]
    fn what_cannot_be_is_told_with_what_could() {
        let error = |text: &str| TeacherSpec::parse_all(text).unwrap_err().to_string();
        assert!(error("resnet").contains("known are efficientnet-lite0, dinov2=PATH"));
        assert!(error("dinov2-x=p").contains("dinov2-s, dinov2-b"));
        assert!(error("mocov3-b").contains("mocov3-b=FILE"));
        assert!(error("dinov2").contains("needs the place"));
        assert!(error("dinov2-b,dinov2-b").contains("twice"));
        assert!(error("").contains("known are"));
    }

    #[test]
    fn a_grid_that_does_not_fit_is_told_with_what_would() {
        let spec = &TeacherSpec::parse_all("dinov2-b").unwrap()[0];
        let message = |image_px, factor, patch| {
            spec.check_grid(TokenGrid { image_px, factor, patch }).unwrap_err().to_string()
        };
        let text = message(32, 4, 4);
        assert!(text.contains("2 x 2 tokens") && text.contains("data.image_px = 64"), "{text}");
        assert!(text.contains("sit.patch = 1 or 2") && text.contains("dinov2-b"), "{text}");
        let text = message(8, 4, 1);
        assert!(text.contains("data.image_px = 16") && !text.contains("sit.patch"), "{text}");
        let text = message(2048, 8, 1);
        assert!(text.contains("256 x 256") && text.contains("data.image_px = 1024"), "{text}");
        for (image_px, factor, patch) in [(32, 4, 1), (256, 8, 2), (256, 16, 1), (40, 4, 1)] {
            assert!(spec.check_grid(TokenGrid { image_px, factor, patch }).is_ok());
        }
    }
}
