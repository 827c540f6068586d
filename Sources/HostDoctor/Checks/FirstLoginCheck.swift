/// Finds services that create a missing home only after the code is checked.
struct FirstLoginCheck {
  let host: HostFindings
  /// By service.
  let options: [String: [EffectiveOptions]]

  private static let modules: Set<String> = ["pam_mkhomedir", "pam_oddjob_mkhomedir"]

  var findings: [Finding] {
    var services: [String] = []
    var first: PAMRule?
    for service in host.services {
      let options = options[service] ?? []
      guard options.contains(where: \.keepsEnrollmentsInHomes), options.contains(where: \.passesUnenrolled),
        let rule = host.configuration.stacks(of: service).chain(.session).rules.first(where: {
          Self.modules.contains($0.name)
        })
      else { continue }
      services.append(service)
      first = first ?? rule
    }
    guard let first else { return [] }
    return [
      .warning(
        "first_login",
        "\(first.place): \(first.name) creates a missing home only after the code is checked, and without a home the "
          + "module refuses the user, enrolled or not: nobody can log in for the first time through "
          + services.joined(separator: ", "),
        remedy: "for each new user: mkhomedir_helper NAME\nor \(TreeEnrollment.outsideHomes)")
    ]
  }
}
