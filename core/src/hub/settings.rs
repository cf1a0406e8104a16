//! Where the hub and the cache are, from the environment variables that `huggingface_hub` reads.

use std::path::PathBuf;

/// Settings of the hub and its cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubSettings {
    /// Address without a slash at its end.
    pub endpoint: String,
    /// The folder of the `models--…` folders.
    pub cache: PathBuf,
    /// What gated and private models ask for.
    pub token: Option<String>,
    /// Never use the network.
    pub offline: bool,
}

impl HubSettings {
    /// As the environment says.
    pub fn from_env() -> Self {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// As `var` says.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let var = |name: &str| var(name).map(|v| v.trim().to_string()).filter(|v| !v.is_empty());
        let home = var("HOME").or_else(|| var("USERPROFILE")).map_or_else(PathBuf::new, PathBuf::from);
        let caches = var("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
        let hub_home = var("HF_HOME").map_or_else(|| caches.join("huggingface"), PathBuf::from);
        let cache = var("HF_HUB_CACHE").or_else(|| var("HUGGINGFACE_HUB_CACHE"));
        let token_file = var("HF_TOKEN_PATH").map_or_else(|| hub_home.join("token"), PathBuf::from);
        let token = var("HF_TOKEN").or_else(|| {
            let text = std::fs::read_to_string(token_file).ok()?;
            Some(text.trim().to_string()).filter(|token| !token.is_empty())
        });
        let yes = |value: String| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on");
        Self {
            endpoint: var("HF_ENDPOINT")
                .unwrap_or_else(|| "https://huggingface.co".into())
                .trim_end_matches('/')
                .to_string(),
            cache: cache.map_or_else(|| hub_home.join("hub"), PathBuf::from),
            token,
            offline: var("HF_HUB_OFFLINE").is_some_and(yes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_honoured() {
        let with = |vars: &[(&str, &str)]| {
            let vars: Vec<_> = vars.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            HubSettings::from_vars(|name| vars.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
        };
        let plain = with(&[("HOME", "/nobody")]);
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!(plain.cache, PathBuf::from("/nobody/.cache/huggingface/hub"));
        assert_eq!((plain.token, plain.offline), (None, false));
        let set = with(&[
            ("HF_HOME", "/h"),
            ("HF_ENDPOINT", "http://mirror/"),
            ("HF_TOKEN", "t\n"),
            ("HF_HUB_OFFLINE", "True"),
        ]);
        assert_eq!(
            (set.endpoint.as_str(), set.token.as_deref(), set.offline),
            ("http://mirror", Some("t"), true)
        );
        assert_eq!(set.cache, PathBuf::from("/h/hub"));
        assert_eq!(with(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h")]).cache, PathBuf::from("/c"));
    }

    #[test]
    fn a_token_may_lie_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "secret\n").unwrap();
        let home = folder.path().display().to_string();
        let settings = HubSettings::from_vars(|name| (name == "HF_HOME").then(|| home.clone()));
        assert_eq!(settings.token.as_deref(), Some("secret"));
    }
}
