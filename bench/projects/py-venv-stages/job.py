import dateutil.parser
import schedule

schedule.every().day.at("10:30").do(print)
print(dateutil.parser.parse("1 May 2020").date(), len(schedule.jobs))
