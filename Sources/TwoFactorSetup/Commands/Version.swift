/// The version of the project, which `twofactor --version` prints for scripts/package.
enum Version {
  static let current = "0.1.0"
}
