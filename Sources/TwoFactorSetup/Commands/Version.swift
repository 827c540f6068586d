/// For `twofactor --version` and the packages.
enum Version {
  static let current = "0.1.0"
}
