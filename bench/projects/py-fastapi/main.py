from fastapi import FastAPI

app = FastAPI()


@app.get("/items/{number}")
def item(number: int):
    return {"number": number, "even": number % 2 == 0}
