/// For `twofactor --version` and the packages.
enum Version {
  static let current = "0.2.0"
}
