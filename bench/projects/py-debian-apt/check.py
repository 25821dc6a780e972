import yaml

for name, rule in yaml.safe_load(open("/opt/check/rules.yml")).items():
    print(name, rule["level"])
